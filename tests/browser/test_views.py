"""Explorers on a page without a kernel: several of them, several views of one, and values that change elsewhere."""

import json

import pytest

from ncsn_edu import widgets
from ncsn_edu.widgets import page as scripts
from ncsn_edu.widgets import words

# What anywidget gives: attributes that are heard of, whoever sets them. Each view is a module of its own, as there.
START = """async ([code, settings, views]) => {
    const held = { settings, values: Object.fromEntries(settings.controls.map((c) => [c.name, c.start])), ran: {} };
    const heard = [];
    window.model = {
        get: (name) => held[name],
        set: (name, value) => {
            if (JSON.stringify(held[name]) === JSON.stringify(value)) return;
            held[name] = value;
            heard.filter(([event]) => event === `change:${name}`).forEach(([, call]) => call());
        },
        save_changes: () => {},
        on: (event, call) => heard.push([event, call]),
        off: () => {},
    };
    for (let i = 0; i < views; i++) {
        const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
        const el = document.body.appendChild(document.createElement("section"));
        (await import(url)).default.render({ model, el });
    }
}"""
# The widget of no size, in a box with what is inside; `told` is what the kernel hears.
WORDS = """async ([code, inside]) => {
    const held = { names: { img: "a picture" }, busy: false, gone: "" };
    window.told = [];
    const model = {
        get: (name) => held[name],
        set: (name, value) => (held[name] = value),
        save_changes: () => told.push(held.pixel_ratio),
        on: () => {},
        off: () => {},
    };
    const box = document.body.appendChild(document.createElement("section"));
    box.innerHTML = inside;
    const el = box.appendChild(document.createElement("div"));
    const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    window.leave = (await import(url)).default.render({ model, el });
}"""
FRAMES = """async (n) => {
    for (let i = 0; i < n; i++) await new Promise((drawn) => requestAnimationFrame(drawn));
}"""
FEW = {"n_levels": 3, "n_steps_each": 10}

# Within a run, however slow the test's own process is.
PRESSED_TWICE = """async () => {
    const run = document.querySelector(".ncsn-run");
    run.click();
    for (let i = 0; i < 2; i++) await new Promise((drawn) => requestAnimationFrame(drawn));
    run.click();
}"""


class Views:
    """Views of one explorer on a page, which share one model."""

    def __init__(self, page, explorer: widgets.Explorer, number: int = 1) -> None:
        self.page = page
        page.set_content("<!doctype html><body></body>")
        page.evaluate(START, [explorer.view._esm, explorer.settings(), number])
        self.wait()

    def wait(self, frames: int = 20) -> None:
        self.page.evaluate(FRAMES, frames)

    def says(self) -> list[str]:
        return self.page.locator(".ncsn-readout").all_inner_texts()

    def set(self, **attributes: object) -> None:
        """As Python does it, one attribute after the other."""
        for name, value in attributes.items():
            self.page.evaluate("([name, value]) => model.set(name, value)", [name, value])
            self.wait(5)

    def get(self, name: str) -> object:
        return self.page.evaluate("(name) => model.get(name)", name)

    def ends(self) -> None:
        """Every view has its result."""
        self.page.wait_for_function(
            "() => [...document.querySelectorAll('.ncsn-readout')].every((line) => line.innerText.includes('Result'))"
        )
        self.wait()


@pytest.fixture
def annealing() -> widgets.AnnealingExplorer:
    return widgets.AnnealingExplorer(**FEW)


def test_values_that_python_sets_are_not_run_unasked(page, annealing):
    """The page hears that the result is gone some time before it hears of the new values."""
    views = Views(page, annealing)
    views.set(ran=annealing.values)
    views.ends()
    views.set(ran={}, values=annealing.values | {"n_levels": 4})
    views.wait()
    assert "Press Run" in views.says()[0] and views.get("ran") == {}


def test_a_run_stopped_in_one_view_does_not_begin_anew_in_it(page, annealing):
    views = Views(page, annealing, number=2)
    longer = annealing.values | {"n_levels": 10, "n_steps_each": 100}
    views.set(values=longer, ran=longer)
    views.ends()
    page.evaluate(PRESSED_TWICE)
    views.wait()
    assert views.get("ran") == {} and not any("Result" in line for line in views.says())
    assert page.locator(".ncsn-run").all_inner_texts() == ["Run", "Run"]
    page.locator(".ncsn-run").last.click()
    views.ends()
    assert views.get("ran") == longer, "a run in one view is one in the other"


def test_reset_of_what_runs_brings_back_its_result(page, annealing):
    views = Views(page, annealing)
    views.set(ran=annealing.values)
    views.ends()
    result = views.says()
    page.get_by_role("slider", name="levels L", exact=True).press("ArrowRight")
    views.wait()
    assert "Press Run" in views.says()[0] and views.get("ran") == {}
    page.get_by_role("button", name="Reset").press("Enter")
    views.ends()
    assert views.says() == result and views.get("ran") == views.get("values") == annealing.values


def test_what_is_being_typed_stays_while_a_run_ends(page, annealing):
    views = Views(page, annealing)
    field = page.get_by_role("spinbutton", name="eps, as a number")
    field.fill("0.0")
    views.set(ran=annealing.values)
    views.ends()
    assert field.input_value() == "0.0"
    field.press("End")
    page.keyboard.type("02")
    page.keyboard.press("Tab")
    views.wait()
    assert views.get("values")["eps"] == pytest.approx(0.002, rel=0.02)
    field.fill("")
    field.press("Tab")
    assert float(field.input_value()) == pytest.approx(0.002, rel=0.02), "nothing typed: as it was"


def test_arrows_in_a_field_of_powers_of_ten_go_by_the_slider_s_steps(page, annealing):
    views = Views(page, annealing)
    before = views.get("values")["eps"]
    field = page.get_by_role("spinbutton", name="eps, as a number")
    step = annealing.controls["eps"].step
    field.press("ArrowUp")
    views.wait(3)
    assert views.get("values")["eps"] == pytest.approx(before * 10**step, rel=1e-4)
    assert field.input_value() == f"{before * 10**step:.3g}"
    for _ in range(2):
        field.press("ArrowDown")
    views.wait(3)
    assert views.get("values")["eps"] == pytest.approx(before / 10**step, rel=1e-4)


def test_a_run_at_a_button_on_a_page_without_a_kernel(page, annealing):
    page.set_content(f"<!doctype html><body>{scripts.element(annealing)}<script>{scripts.script()}</script>")
    line, run = page.locator(".ncsn-readout"), page.locator(".ncsn-run")
    result = page.locator(".ncsn-readout", has_text="Result")
    result.wait_for()  # it comes with one
    page.get_by_role("slider", name="levels L", exact=True).press("ArrowRight")
    page.locator(".ncsn-readout", has_text="Press Run").wait_for()
    assert "L 4" in line.inner_text() and run.inner_text() == "Run"
    run.press("Enter")
    result.wait_for()
    assert run.inner_text() == "Run" and "L 4" in line.inner_text()


def test_by_touch_alone(window, annealing):
    """A finger on a slider's right end, and on Reset."""
    phone = window(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    touched = phone.new_page()
    touched.set_content(
        "<!doctype html><meta name=viewport content='width=device-width'>"
        f"<body>{scripts.element(annealing)}<script>{scripts.script()}</script>"
    )
    start = touched.locator(".ncsn-readout", has_text="Result")
    start.wait_for()
    slider = touched.get_by_role("slider", name="levels L", exact=True)
    box = slider.bounding_box()
    touched.touchscreen.tap(box["x"] + 0.98 * box["width"], box["y"] + box["height"] / 2)
    touched.locator(".ncsn-readout", has_text="Press Run").wait_for()
    assert int(slider.input_value()) > 20
    touched.get_by_role("button", name="Reset").tap()
    start.wait_for()
    assert slider.input_value() == "3"
    assert touched.evaluate("document.documentElement.scrollWidth") <= 390, "nothing lies beyond a phone's edge"
    phone.close()


def test_two_views_find_each_error_once(page):
    """Both go on with the same curves, in turns."""
    explorer = widgets.SolverExplorer()
    page.set_content("<!doctype html><body></body>")
    page.add_script_tag(content=scripts.source())
    lengths = page.evaluate(
        """(settings) => {
            const values = Object.fromEntries(settings.controls.map((c) => [c.name, c.start]));
            const [one, other] = [0, 1].map(() => new Posed(explorers.SolverExplorer, settings.fixed));
            for (const posed of [one, other]) { posed.pose(values); posed.start(); }
            while (one.running || other.running) { one.work(0); other.work(0); }
            return Object.values(one.found.curves).map((errors) => errors.length);
        }""",
        explorer.settings(),
    )
    assert set(lengths) == {len(explorer.settings()["fixed"]["steps"])}


def test_ids_are_unique_among_explorers_and_lines(page):
    """Each is a module that counts from the beginning: labels and descriptions would name parts of another one."""
    page.set_content("<!doctype html><body></body>")
    for kind in (widgets.ScheduleExplorer, widgets.DdimExplorer, widgets.ScheduleExplorer):
        explorer = kind()
        page.evaluate(START, [explorer.view._esm, explorer.settings(), 1])
    line = '<div class="widget-html-content"><div class="ncsn-readout">line</div></div><img>'
    for _ in range(2):
        page.evaluate(WORDS, [words.Words._esm, line])
    page.evaluate(FRAMES, 5)
    ids = page.locator("[id]").evaluate_all("all => all.map((element) => element.id)")
    assert len(ids) > 12 and len(set(ids)) == len(ids)
    named = page.locator("[aria-describedby]").evaluate_all("all => all.map((e) => e.getAttribute('aria-describedby'))")
    assert len(named) == 5 and len(set(named)) == 5 and set(named) <= set(ids)
    for label in page.locator("label[for]").all():
        section = label.locator("xpath=ancestor::section")
        assert section.locator(f"#{label.get_attribute('for')}").count() == 1, json.dumps(label.inner_text())


def test_the_kernel_is_told_what_screen_it_is_and_of_another_one(window):
    context = window(device_scale_factor=2)
    page = context.new_page()
    page.set_content("<!doctype html><body></body>")
    page.evaluate(WORDS, [words.Words._esm, ""])
    assert page.evaluate("told") == [2]
    screen = context.new_cdp_session(page)
    for ratio, width in ((2, 500), (1, 700), (1, 600)):  # the page alone; the screen; the page
        settings = {"width": width, "height": 400, "deviceScaleFactor": ratio, "mobile": False}
        screen.send("Emulation.setDeviceMetricsOverride", settings)
        page.wait_for_function(
            "([ratio, width]) => devicePixelRatio === ratio && innerWidth === width", arg=[ratio, width]
        )
        page.evaluate(FRAMES, 3)
    assert page.evaluate("told") == [2, 1]
    page.evaluate("leave()")
    settings = {"width": 900, "height": 400, "deviceScaleFactor": 3, "mobile": False}
    screen.send("Emulation.setDeviceMetricsOverride", settings)
    page.wait_for_function("() => devicePixelRatio === 3")
    page.evaluate(FRAMES, 3)
    assert page.evaluate("told") == [2, 1], "it has left the page"
    context.close()
