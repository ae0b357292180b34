"""Run test modules: run.py [-j N] FILE.py|DIRECTORY... [-k PATTERN]

Modules find tests/lib and tests/fake on their path.  The output is unittest's,
with one line a test, so that scripts/count can read it.  With -j, N processes
take the modules in turn, each with servers of its own; what a module printed
comes out in one piece when it has ended.
"""

import contextlib
import fcntl
import glob
import importlib.util
import io
import os
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
RECORD = 8  # bytes a module's number takes in the queue: read and written whole
sys.dont_write_bytecode = True
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "fake")]


def run(path, patterns, out):
    """Runs one module; True: nothing failed."""
    loader = unittest.TestLoader()
    loader.testNamePatterns = patterns or None
    name = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    tests = loader.loadTestsFromModule(module)
    if tests.countTestCases() == 0:
        return True
    return unittest.TextTestRunner(stream=out, verbosity=2).run(tests).wasSuccessful()


def work(files, patterns, queue, lock):
    """Takes modules from the queue until it is empty."""
    good = True
    while record := os.read(queue, RECORD):
        path, out = files[int(record)], io.StringIO()
        try:
            with contextlib.redirect_stdout(out):
                good = run(path, patterns, out) and good
        except Exception as e:  # a module that cannot be read is a failed test
            out.write(f"{path}: {e!r}\nnot ok {path}\n")
            good = False
        fcntl.flock(lock, fcntl.LOCK_EX)
        print(f"== {os.path.basename(path)}\n{out.getvalue()}", end="", flush=True)
        fcntl.flock(lock, fcntl.LOCK_UN)
    return good


def in_processes(n, files, patterns):
    """The modules, n at a time: the longest texts first, as they take longest."""
    files.sort(key=os.path.getsize, reverse=True)
    queue, end = os.pipe()
    for i in range(len(files)):
        os.write(end, b"%*d" % (RECORD, i))
    os.close(end)
    sys.stdout.flush()
    handle, name = tempfile.mkstemp(prefix="mailhaul-run")
    os.close(handle)
    children = []
    for _ in range(n - 1):
        pid = os.fork()
        if pid == 0:
            break
        children.append(pid)
    # Each opens it anew: a lock belongs to what open() gave.
    good = work(files, patterns, queue, os.open(name, os.O_RDWR))
    if len(children) < n - 1:
        sys.exit(0 if good else 1)  # what it has started is stopped at its exit
    for pid in children:
        good = os.waitpid(pid, 0)[1] == 0 and good
    os.unlink(name)
    return good


def main():
    files, patterns, n, args = [], [], 1, sys.argv[1:]
    while args:
        arg = args.pop(0)
        if arg == "-k":
            word = args.pop(0)
            patterns.append(word if "*" in word else f"*{word}*")
        elif arg == "-j":
            n = int(args.pop(0))
        elif os.path.isdir(arg):
            files += sorted(glob.glob(os.path.join(arg, "test_*.py")))
        else:
            files.append(arg)
    if n > 1:
        good = in_processes(n, files, patterns)
    else:
        good = all([run(path, patterns, sys.stdout) for path in files])
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
