"""The quick form of an experiment, in this process: no test needs two cores for runs of some milliseconds."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from lab.experiments.experiment import Experiment, Row
from lab.experiments.picture import save_pictures
from lab.experiments.report import Circumstances, report_page
from lab.experiments.sweep import Finished, make_tasks, sweep


class Inline(Executor):
    """Does each task at once, in `submit`."""

    def __init__(self, may_do: int = 10**6) -> None:
        """It is interrupted after `may_do` tasks."""
        self.may_do = may_do

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **named: Any) -> "Future[Any]":
        """Do it now."""
        if self.may_do == 0:
            raise KeyboardInterrupt
        self.may_do -= 1
        future: Future[Any] = Future()
        future.set_result(work(*arguments, **named))
        return future


def measure(experiment: Experiment, folder: Path, seed: int = 1, executor: Executor | None = None) -> list[Row]:
    """The rows of the quick form; what is finished in `folder` is not done again."""
    tasks = make_tasks(experiment, is_quick=True)
    finished = Finished(folder / "finished.jsonl", {"seed": seed})
    sweep(experiment, tasks, seed, executor or Inline(), finished, lambda: None)
    return finished.table(tasks)


def draw_page(experiment: Experiment, rows: list[Row], folder: Path) -> str:
    """Draw the picture, and return the page with it."""
    save_pictures(folder, experiment.TITLE, lambda figure: experiment.draw(figure, rows))
    circumstances = Circumstances(1, "quick", "unknown", "a machine", "make experiment")
    return report_page(experiment, experiment.points(True), rows, circumstances, (folder / "plot.svg").read_text())
