"""nbgrader's settings for this course: for `nbgrader` in this folder, for the formgrader, and for `ncsn_edu grade`."""

from pathlib import Path

c = get_config()  # noqa: F821  (nbgrader defines it)

c.CourseDirectory.course_id = "ncsn_edu"
c.CourseDirectory.root = str(Path(__file__).resolve().parent)

# Each submission runs in a confined process and folder of its own; a crash in a cell costs that cell.
c.Autograde.autograde_preprocessors = [
    "ncsn_edu.grading.execute.Execute",
    "ncsn_edu.grading.feedback.Harmless",  # what learners' cells show cannot act on whoever looks at it
    "nbgrader.preprocessors.LimitOutput",
    "nbgrader.preprocessors.SaveAutoGrades",
    "nbgrader.preprocessors.AssignLatePenalties",
    "nbgrader.preprocessors.CheckCellMetadata",
]
# Learners are told that a cell has one minute, on a laptop: this machine may be slower, or grade several at a time.
c.Execute.cell_seconds = 120.0
c.Execute.total_seconds = 900.0
c.Execute.memory = 4 << 30
c.Execute.disk = 256 << 20
# The share of its points that a task gets whose answer calls what its last line, *Stuck?*, names: 1 is all of them.
c.Execute.stuck_share = 1.0

# A test cell that a student has deleted comes back.
c.OverwriteCells.add_missing_cells = True

# Rubrics stand in locked cells, below the question they are for; students see neither them nor hidden tests, also not
# in the feedback. To show both there, take the two ClearSomething out of this list.
c.ClearMarkScheme.enforce_metadata = False
c.GenerateFeedback.preprocessors = [
    "nbgrader.preprocessors.GetGrades",
    "nbgrader.preprocessors.ClearHiddenTests",
    "nbgrader.preprocessors.ClearMarkScheme",
]
c.GenerateFeedback.exporter_class = "ncsn_edu.grading.feedback.FeedbackPage"
