"""The node of a mutant: `python -m tests.mutants.client STAGE NAME …options of a node…`."""

import importlib.util
import runpy
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

from lab.blackbox.node_process import STAGES
from tests.mutants import Mutant, mutants_of


class ChangedLoader(SourceFileLoader):
    """Loads a module with the changes of a mutant. What Python keeps of the unchanged one is neither read nor written."""

    def __init__(self, name: str, path: str, wrong: Mutant) -> None:
        super().__init__(name, path)
        self._wrong = wrong

    def get_code(self, fullname: str) -> CodeType:
        """The code of the changed module."""
        source = importlib.util.decode_source(self.get_data(self.path))
        code: CodeType = self.source_to_code(self._wrong.change(self.name, source), self.path)
        return code


class ChangedModules:
    """Finds the modules that a mutant has changed. All others are found as usual."""

    def __init__(self, wrong: Mutant) -> None:
        self._wrong = wrong

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The module, if it is one of those."""
        if name not in self._wrong.modules:
            return None
        spec = PathFinder.find_spec(name, path, target)
        assert spec is not None and spec.origin is not None, f"there is no module {name}"
        spec.loader = ChangedLoader(name, spec.origin, self._wrong)
        return spec


def main(stage: str, name: str, *options: str) -> None:
    """Become that node."""
    (wrong,) = (one for one in mutants_of(int(stage)) if one.name == name)
    sys.meta_path.insert(0, ChangedModules(wrong))
    module = STAGES[wrong.stage]
    sys.argv = [module, *options]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
