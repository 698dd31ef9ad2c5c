"""Measured next to theory: `python -m lab.experiments NAME`, or `make experiment NAME=…`.

In: the stages' own classes, in memory or as real nodes. Out, in run/experiments/NAME/: data.csv, plot.svg, plot.png,
and report.html, a page that needs no other file.

To add an experiment, write one file here with one class, and put an instance of it into `EXPERIMENTS` (table.py):

    class Lottery(Experiment):
        NAME = "lottery"                    # the folder, and what `make experiment NAME=` takes
        TITLE = "…"                         # what the picture shows, as its title
        QUESTION = "…"                      # what the experiment answers
        METHOD = "…"                        # how it is measured, and what is left out
        MEASURED = {"won": "…"}             # the columns of the page's table: what `run` calls each, and its heading

        def points(self, is_quick):         # the parameters of each point: dicts of numbers and strings
        def runs(self, is_quick):           # how many seeds each point is run with
        def run(self, point, seed):         # one run of one point: a list of rows (dicts); the same seed, the same rows
        def draw(self, figure, rows):       # the picture: theory as lines, measurement as points with their spread
        def findings(self, rows):           # what the numbers say next to theory, a sentence each

`run` is called in other processes, so it takes all that it needs from its arguments. An experiment on real nodes sets
`IS_ALONE`: then each run has the machine to itself. What a sweep is and how it goes on after an interruption is in
sweep.py; letters, colours and markers of a picture are in picture.py; the page is in report.py.
"""
