"""kill -9 under eight writers, beside 2,700 pods (battery R02); twenty rounds are in the soak."""

from __future__ import annotations

from pathlib import Path

from killing import kill_round, prepare

PODS = 2_700


def test_kill_under_writers(tmp_path: Path, record_property: object) -> None:
    """Two rounds: acknowledged writes lost 0, torn 0, unlisted 0; nothing unacknowledged half visible; 0 findings."""
    port = prepare(tmp_path, PODS)
    for seed in (1, 2):
        toll = kill_round(tmp_path, port, seed, 1.5)
        assert toll.acknowledged > 100
        assert (toll.lost, toll.torn, toll.unlisted, toll.half_visible) == (0, 0, 0, 0)
        assert toll.findings == 0
        record_property(f"seconds to ready, round {seed}", round(toll.seconds_to_ready, 2))  # type: ignore[operator]
        print(toll)
