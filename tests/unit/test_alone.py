"""What measures time has the machine for itself."""

import threading
from pathlib import Path

from tests.alone import Machine


def test_alone_waits_for_the_others_and_keeps_new_ones_out(tmp_path: Path) -> None:
    """Whoever runs is waited for; whoever comes while time is measured begins afterwards."""
    here, there = Machine(tmp_path), Machine(tmp_path)
    told: list[str] = []
    is_inside, is_waited_for, is_measuring, is_coming = (threading.Event() for _ in range(4))

    def neighbour() -> None:
        with there.shared():
            is_inside.set()
            assert is_waited_for.wait(10)
            told.append("the first ended")
        assert is_measuring.wait(10)
        is_coming.set()
        with there.shared():
            told.append("the next began")

    thread = threading.Thread(target=neighbour)
    thread.start()
    assert is_inside.wait(10)
    is_waited_for.set()
    with here.alone():
        told.append("measuring")
        is_measuring.set()
        assert is_coming.wait(10)
        told.append("measured")
    thread.join(10)
    here.close()
    there.close()
    assert told == ["the first ended", "measuring", "measured", "the next began"]
