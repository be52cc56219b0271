"""`python -m alexrep`: the same as the command `alexrep`."""

import runpy

if __name__ == "__main__":
    # By name: nothing in the library imports the commands.
    runpy.run_module("alexrep.stages", run_name="__main__", alter_sys=True)
