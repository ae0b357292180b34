"""Run test modules: run.py FILE.py|DIRECTORY... [-k PATTERN]

Modules find tests/lib and tests/fake on their path.  The output is unittest's,
with one line a test, so that scripts/count can read it.
"""

import glob
import importlib.util
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "fake")]


def main():
    files, patterns, args = [], [], sys.argv[1:]
    while args:
        arg = args.pop(0)
        if arg == "-k":
            word = args.pop(0)
            patterns.append(word if "*" in word else f"*{word}*")
        elif os.path.isdir(arg):
            files += sorted(glob.glob(os.path.join(arg, "test_*.py")))
        else:
            files.append(arg)
    loader, suite = unittest.TestLoader(), unittest.TestSuite()
    loader.testNamePatterns = patterns or None
    for path in files:
        name = os.path.splitext(os.path.basename(path))[0]
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        suite.addTests(loader.loadTestsFromModule(module))
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    sys.exit(0 if result.wasSuccessful() else 1)


if __name__ == "__main__":
    main()
