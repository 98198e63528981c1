"""Nothing outlives its parent."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil
import pytest

from skillsengine.airflow.process import Orphaned, die_with_parent

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel call is Linux's")

_TREE = """
import multiprocessing, os, sys, time
from skillsengine.airflow.process import die_with_parent, forks_die_with_parent
die_with_parent()
forks_die_with_parent()
def grandchild(): time.sleep(60)
def child():
    process = multiprocessing.Process(target=grandchild); process.start()
    print(os.getpid(), process.pid, flush=True); time.sleep(60)
multiprocessing.set_start_method("fork")
multiprocessing.Process(target=child).start()
time.sleep(60)
"""


def gone(pids: list[int], seconds: float = 5.0) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        left = [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]
        if not left:
            return True
        time.sleep(0.05)
    return False


def test_a_killed_process_takes_its_forks_and_their_forks_along() -> None:
    with subprocess.Popen([sys.executable, "-c", _TREE], stdout=subprocess.PIPE, text=True) as top:
        assert top.stdout
        pids = [int(pid) for pid in top.stdout.readline().split()]
        assert all(psutil.pid_exists(pid) for pid in pids)
        top.kill()
        assert gone(pids)


def test_the_kernel_watches_the_parent() -> None:
    parent = (
        "import subprocess, sys, time\n"
        "code = 'from skillsengine.airflow.process import die_with_parent; die_with_parent(); "
        "print(1, flush=True); import time; time.sleep(60)'\n"
        "child = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE)\n"
        "child.stdout.readline(); print(child.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as top:
        assert top.stdout
        pid = int(top.stdout.readline())
        top.kill()
        assert gone([pid])


def test_a_parent_that_is_gone_already_is_noticed() -> None:
    code = (
        "from skillsengine.airflow.process import Orphaned, die_with_parent\n"
        "try: die_with_parent(1234567)\n"
        "except Orphaned as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "the parent process 1234567 is gone" in said


def test_the_right_parent_is_fine() -> None:
    code = "import sys; from skillsengine.airflow.process import die_with_parent; die_with_parent(int(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, str(os.getpid())], check=True)
    assert Orphaned and die_with_parent
