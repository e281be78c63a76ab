"""A process that waits in vain says so and ends."""

import subprocess
import sys
from pathlib import Path

import keras_nam

# Without the package, which takes seconds to import.
FOLDER = Path(keras_nam.__file__).parent / "distribution"


def run(code):
    code = f"import sys, time; sys.path.insert(0, {str(FOLDER)!r})\n{code}"
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_it_ends_a_process_that_is_stuck():
    stuck = "from watchdog import Watchdog; Watchdog(0.1, lambda: 'stuck')"
    result = run(f"{stuck}\nprint('before')\ntime.sleep(50)\nprint('after')")
    assert result.returncode == 1
    assert result.stderr == "stuck\n"
    assert result.stdout == "before\n"


def test_it_leaves_alone_what_makes_progress_and_what_is_done():
    code = """
from watchdog import Watchdog
dog = Watchdog(2.0, lambda: 'stuck')
for _ in range(6):
    time.sleep(0.5)
    dog.feed()
dog.stop()
time.sleep(2.5)
"""
    result = run(code)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_process_with_an_error_ends_without_waiting():
    code = """
from watchdog import end_process_at_exit
import atexit
atexit.register(time.sleep, 50)
end_process_at_exit()
raise RuntimeError("lost")
"""
    result = run(code)
    assert result.returncode == 1
    assert "RuntimeError: lost" in result.stderr
