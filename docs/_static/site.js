// What the theme and Sphinx leave out, for those who use a keyboard or a screen reader.
const each = (selector, mend) => document.querySelectorAll(selector).forEach(mend);
const mend = () => {
  each('[role="heading"]:not([aria-level])', (heading) => heading.setAttribute("aria-level", "2"));
  each(".sig dl, .sig dd", (part) => part.setAttribute("role", "none")); // parameters, a line each: no definitions
  each("pre, .table-wrapper, .math, mjx-container, .sidebar-scroll, .toc-scroll", (box) => {
    if (box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight) box.tabIndex = 0;
  });
};
addEventListener("load", mend);
addEventListener("resize", mend);
