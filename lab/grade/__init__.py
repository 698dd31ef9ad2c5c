"""Grades anybody's node, in any language: `python -m lab.grade --stage 3 --node "./theirs --stage 3"`, or `make grade`.

In: a command that starts a node and takes the command line of contract §4, and a stage. Out: a verdict for each
criterion, the points, and a folder with the evidence. For other programs: `lab.grade.runner.grade(command, stage,
folder, seed=…) -> Result`, `lab.grade.formats.write_all(result)` for the files of Gradescope and others, and
`lab.grade.runner.list_criteria(stage, folder)`.

A criterion is a test with a marker in a file `tests/stageN_*/test_criteria*.py`, so `make test` or `make test-long`
runs it on our own nodes. It knows a node only from outside: it imports lab/grade and lab/blackbox, and nothing of a
stage.

    @pytest.mark.criterion("A line reaches everybody", points=5, clause="§4", hint="Flood what you have not seen.")
    def test_a_line_reaches_everybody(scene: Scene) -> None:
        '''What anyone types is printed at every node, once.'''
        alice = scene.found_network()
        bob = scene.join(alice)
        bob.type("hi")
        alice.wait_for("chat", text="hi")
        check_equal(len(alice.told("chat")), 1, "the number of chat events at the first node")

The docstring is the rule that a student reads, so it says what the contract says. The members of the marker are listed
in lab/grade/criteria.py. `scene` starts nodes and peers, see lab/grade/scene.py. `check` and `check_equal` fail with
what was expected and what was found. What fails in `scene.found_network`, `scene.join`, `scene.call` or
`scene.link` makes a criterion inconclusive, not failed: other criteria are about that.
"""
