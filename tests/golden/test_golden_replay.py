"""Rulings of a past day come out the same, byte for byte, from their documents, whatever the packs of today say."""

import json

from chalicelib.domain.compliance.documents import ENGINE_FORMAT
from chalicelib.domain.compliance.replay import Replayer
from chalicelib.domain.compliance.timeline import ZONE_DATA
from tests.golden.golden_replay import FILE


def test_past_rulings_have_the_bytes_of_their_day() -> None:
    """A difference here is a new format of the engine: raise ``ENGINE_FORMAT`` and write the file anew."""
    kept = json.loads(FILE.read_text(encoding="utf-8"))
    replayer = Replayer(lambda digest: kept["documents"][digest].encode() if digest in kept["documents"] else None)
    seen = set()
    for each in kept["rulings"]:
        ruling = json.loads(each["ruling"])
        assert each["rule_set"]["engine"] == ENGINE_FORMAT
        # The zones of the file have not changed for decades, so other zone data changes its name only.
        named = {**each["rule_set"], "zone_data": ZONE_DATA}
        changed = replayer.replay(each["dossier"], {**ruling, "zone_data": ZONE_DATA}, named)
        assert changed is None, changed
        seen.add(ruling["verdict"])
    assert seen == {"allow", "defer", "review", "deny"}
