"""The compliance engine: a dossier in, a ruling out; law as dated data, no clock, no store, no network."""

from chalicelib.domain.compliance.documents import rule_set
from chalicelib.domain.compliance.engine import rule
from chalicelib.domain.compliance.explain import explain
from chalicelib.domain.compliance.form import DossierError, check_dossier
from chalicelib.domain.compliance.packs import Pack, PackSet, load_packs

__all__ = ["DossierError", "Pack", "PackSet", "check_dossier", "explain", "load_packs", "rule", "rule_set"]
