"""The measured case in the language of each peer: every function here returns what names the broken rules of a request.

A peer that knows neither zones nor histories gets local time and counts from ``plain.facts``, whose cost is part of its
figure. No peer is asked for what was observed, for the limit or for the next allowed instant.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from scripts.peers.plain import FEDERAL, KINDS, STATE, Facts, decide, facts

Peer = Callable[[Facts], Iterable[str]]
FED = sorted(FEDERAL)


def flat(request: Facts) -> Facts:
    """Return what a rule language reads: scalars and lists of scalars."""
    known = facts(request)
    channel, weekday, minute = request["channel"], known["weekday"], known["minute"]
    return {
        **known,
        **request["case"],
        "now": request["now"],
        "channel": channel,
        "unwelcome": any(
            day == weekday and start <= minute < end for day, start, end in request["inconvenient"]
        ),
        "stateDays": sorted(STATE.get(request["state"], ())),
        "optouts": request["optouts"],
        "consent": request["consent"],
        "employer": request["employer_forbids"],
        "place": request["point"]["place"],
        "kind": request["point"]["kind"],
        "kinds": sorted(KINDS[channel]),
        "language": request["content"]["language"],
        "disclosures": request["content"]["disclosures"],
        "licensed": request["licensed"],
        "until": request["certified_to"],
    }  # fmt: skip


CEL = {
    "S1": "status in ['open', 'litigation']",
    **{rule: f"!{kind}" for rule, kind in zip(("H1", "H2", "H3", "H4", "H5"), ("cease", "attorney", "bankruptcy", "deceased", "dispute"), strict=True)},
    "W1": "minute >= 480", "W2": "minute < 1260", "W3": "weekday != 7 || minute >= 780", "W4": "!unwelcome",
    "D1": f"!(date in {json.dumps(FED)})", "D2": "!(date in stateDays)", "C1": "channel != 'call' || calls < 7",
    "C2": "channel != 'call' || talks < 1", "C3": "same < 2", "C4": "month < 30", "O1": "!(channel in optouts)",
    "O2": "!employer", "O3": "channel != 'sms' || 'sms' in consent", "O4": "place != 'work'", "T1": "kind in kinds",
    "T2": "'debt_collector_identity' in disclosures", "T3": "channel == 'call' || 'opt_out' in disclosures",
    "T4": "language in ['en', 'es']", "K1": "licensed", "K2": "until > now",
}  # fmt: skip
"""Each rule as the condition under which it lets the act pass, in the Common Expression Language."""

IDS = tuple(CEL)


def _broken(passes: Iterable[Any]) -> list[str]:
    return [rule for rule, ok in zip(IDS, passes, strict=True) if not ok]


def plain() -> Peer:
    """Hand-written Python."""
    return decide


def cel_rust() -> Peer:
    """common-expression-language: CEL in Rust, one expression that lists all rules."""
    import cel

    program = cel.compile("[" + ", ".join(CEL.values()) + "]")
    return lambda request: _broken(program.execute(flat(request)))


def cel_cpp() -> Peer:
    """cel-expr-python: CEL in C++, typed."""
    from cel_expr_python import cel

    kinds = cel.Type
    texts = kinds.List(kinds.STRING)
    variables = {
        **dict.fromkeys(("status", "channel", "date", "language", "place", "kind"), kinds.STRING),
        **dict.fromkeys(("optouts", "consent", "disclosures", "stateDays", "kinds"), texts),
        **dict.fromkeys(
            ("cease", "attorney", "bankruptcy", "deceased", "dispute", "employer", "licensed", "unwelcome"), kinds.BOOL
        ),
        **dict.fromkeys(("minute", "weekday", "calls", "talks", "same", "month", "now", "until"), kinds.INT),
    }
    program = cel.NewEnv(variables=variables).compile("[" + ", ".join(CEL.values()) + "]")
    return lambda request: _broken(program.eval(data=flat(request)).plain_value())


def cel_python() -> Peer:
    """cel-python: CEL in pure Python."""
    import celpy
    from celpy.adapter import json_to_cel

    environment = celpy.Environment()
    program = environment.program(environment.compile("[" + ", ".join(CEL.values()) + "]"))
    return lambda request: _broken(program.evaluate({key: json_to_cel(value) for key, value in flat(request).items()}))


def _zen_words() -> Mapping[str, str]:
    words = {rule: text.replace("||", "or") for rule, text in CEL.items()}
    for rule, text in words.items():
        if text.startswith("!("):
            words[rule] = text[2:-1].replace(" in ", " not in ")
        elif text.startswith("!"):
            words[rule] = f"not {text[1:]}"
    return words


def zen_expression() -> Peer:
    """zen-engine, one compiled expression that lists all rules."""
    import zen

    program = zen.compile_expression("[" + ", ".join(_zen_words().values()) + "]")
    return lambda request: _broken(program.evaluate(flat(request)))


def zen_graph() -> Peer:
    """zen-engine, a decision graph with one expression node."""
    import zen

    expressions = [{"id": rule, "key": rule, "value": text} for rule, text in _zen_words().items()]
    graph = {
        "nodes": [
            {"id": "i", "type": "inputNode", "name": "i"},
            {"id": "e", "type": "expressionNode", "name": "e", "content": {"expressions": expressions}},
            {"id": "o", "type": "outputNode", "name": "o"},
        ],
        "edges": [{"id": "1", "sourceId": "i", "targetId": "e"}, {"id": "2", "sourceId": "e", "targetId": "o"}],
    }
    decision = zen.ZenEngine().create_decision(zen.ZenDecisionContent(json.dumps(graph)))

    def decided(request: Facts) -> list[str]:
        result = decision.evaluate(flat(request))["result"]
        return [rule for rule in IDS if not result[rule]]

    return decided


def rule_engine() -> Peer:
    """rule-engine: pure Python, one compiled rule each."""
    import rule_engine as engine

    words = {rule: text.replace("||", "or") for rule, text in CEL.items()}
    words = {rule: f"not {text[1:]}" if text.startswith("!") else text for rule, text in words.items()}
    rules = [engine.Rule(text) for text in words.values()]

    def decided(request: Facts) -> list[str]:
        known = flat(request)
        return _broken([rule.matches(known) for rule in rules])

    return decided


def _var(name: str) -> dict[str, Any]:
    return {"var": name}


def _logic() -> Mapping[str, Any]:
    flags = {"H1": "cease", "H2": "attorney", "H3": "bankruptcy", "H4": "deceased", "H5": "dispute", "W4": "unwelcome", "O2": "employer"}  # fmt: skip
    is_call, is_sms = {"==": [_var("channel"), "call"]}, {"==": [_var("channel"), "sms"]}
    other = {
        "S1": {"in": [_var("status"), ["open", "litigation"]]},
        "W1": {">=": [_var("minute"), 480]},
        "W2": {"<": [_var("minute"), 1260]},
        "W3": {"or": [{"!=": [_var("weekday"), 7]}, {">=": [_var("minute"), 780]}]},
        "D1": {"!": [{"in": [_var("date"), FED]}]},
        "D2": {"!": [{"in": [_var("date"), _var("stateDays")]}]},
        "C1": {"or": [{"!": [is_call]}, {"<": [_var("calls"), 7]}]},
        "C2": {"or": [{"!": [is_call]}, {"<": [_var("talks"), 1]}]},
        "C3": {"<": [_var("same"), 2]},
        "C4": {"<": [_var("month"), 30]},
        "O1": {"!": [{"in": [_var("channel"), _var("optouts")]}]},
        "O3": {"or": [{"!": [is_sms]}, {"in": ["sms", _var("consent")]}]},
        "O4": {"!=": [_var("place"), "work"]},
        "T1": {"in": [_var("kind"), _var("kinds")]},
        "T2": {"in": ["debt_collector_identity", _var("disclosures")]},
        "T3": {"or": [is_call, {"in": ["opt_out", _var("disclosures")]}]},
        "T4": {"in": [_var("language"), ["en", "es"]]},
        "K1": {"==": [_var("licensed"), True]},
        "K2": {">": [_var("until"), _var("now")]},
    }
    return {rule: {"!": [_var(flags[rule])]} if rule in flags else other[rule] for rule in IDS}


def json_logic() -> Peer:
    """json-logic-modernized: pure Python."""
    from json_logic import jsonLogic

    rules = list(_logic().values())

    def decided(request: Facts) -> list[str]:
        known = flat(request)
        return _broken([jsonLogic(rule, known) for rule in rules])

    return decided


def json_logic_rust() -> Peer:
    """jsonlogic-rs: JsonLogic in Rust."""
    import jsonlogic_rs

    rules = json.dumps({"merge": list(_logic().values())})
    return lambda request: _broken(jsonlogic_rs.apply_serialized(rules, json.dumps(flat(request)), json.loads))


def _forbidden(prefix: str) -> Mapping[str, str]:
    """Return each rule as the condition under which it forbids the act, with a prefix before each variable."""
    flags = {"H1": "cease", "H2": "attorney", "H3": "bankruptcy", "H4": "deceased", "H5": "dispute", "W4": "unwelcome", "O2": "employer"}  # fmt: skip
    return {rule: prefix + flag for rule, flag in flags.items()}


def cedar() -> Peer:
    """cedarpy: Cedar policies in Rust, parsed beforehand."""
    import cedarpy

    c = "context."
    when = {
        **_forbidden(c),
        "S1": f'!(["open", "litigation"].contains({c}status))', "W1": f"{c}minute < 480", "W2": f"{c}minute >= 1260",
        "W3": f"{c}weekday == 7 && {c}minute < 780", "D1": f"{json.dumps(FED)}.contains({c}date)",
        "D2": f"{c}stateDays.contains({c}date)", "C1": f'{c}channel == "call" && {c}calls >= 7',
        "C2": f'{c}channel == "call" && {c}talks >= 1', "C3": f"{c}same >= 2", "C4": f"{c}month >= 30",
        "O1": f"{c}optouts.contains({c}channel)", "O3": f'{c}channel == "sms" && !({c}consent.contains("sms"))',
        "O4": f'{c}place == "work"', "T1": f"!({c}kinds.contains({c}kind))",
        "T2": f'!({c}disclosures.contains("debt_collector_identity"))',
        "T3": f'{c}channel != "call" && !({c}disclosures.contains("opt_out"))',
        "T4": f'!(["en", "es"].contains({c}language))', "K1": f"!{c}licensed", "K2": f"{c}until <= {c}now",
    }  # fmt: skip
    policies = ['@id("P")\npermit(principal, action, resource);']
    policies += [f'@id("{rule}")\nforbid(principal, action, resource) when {{ {when[rule]} }};' for rule in IDS]
    parsed = cedarpy.PolicySet.from_str("\n".join(policies))
    entities = cedarpy.Entities.from_json_str("[]")

    def decided(request: Facts) -> list[str]:
        asked = {"principal": 'U::"a"', "action": 'A::"contact"', "resource": 'C::"1"', "context": flat(request)}
        answer = cedarpy.is_authorized(asked, parsed, entities)
        return [] if answer.allowed else list(answer.diagnostics.id_annotations_by_reason.values())

    return decided


def rego() -> Peer:
    """regopy: Rego in C++."""
    import regopy

    i = "input."
    when = {
        **_forbidden(i),
        "S1": f'not {i}status in {{"open", "litigation"}}', "W1": f"{i}minute < 480", "W2": f"{i}minute >= 1260",
        "W3": f"{i}weekday == 7; {i}minute < 780", "D1": f"{i}date in {{{json.dumps(FED)[1:-1]}}}",
        "D2": f"{i}date in {i}stateDays", "C1": f'{i}channel == "call"; {i}calls >= 7',
        "C2": f'{i}channel == "call"; {i}talks >= 1', "C3": f"{i}same >= 2", "C4": f"{i}month >= 30",
        "O1": f"{i}channel in {i}optouts", "O3": f'{i}channel == "sms"; not "sms" in {i}consent',
        "O4": f'{i}place == "work"', "T1": f"not {i}kind in {i}kinds",
        "T2": f'not "debt_collector_identity" in {i}disclosures',
        "T3": f'{i}channel != "call"; not "opt_out" in {i}disclosures', "T4": f'not {i}language in {{"en", "es"}}',
        "K1": f"not {i}licensed", "K2": f"{i}until <= {i}now",
    }  # fmt: skip
    module = "package p\nimport rego.v1\n" + "\n".join(f'deny contains "{rule}" if {{ {when[rule]} }}' for rule in IDS)
    interpreter = regopy.Interpreter()
    interpreter.add_module("p", module)
    bundle = interpreter.build("x = data.p.deny")

    def decided(request: Facts) -> list[str]:
        interpreter.set_input(regopy.Input(flat(request)))
        # The output must outlive what is read from it.
        output = interpreter.query_bundle(bundle)
        return list(json.loads(output.binding("x").json()))

    return decided


PEERS: Mapping[str, Callable[[], Peer]] = {
    "zen-engine, expression": zen_expression, "zen-engine, graph": zen_graph, "cel-expr-python": cel_cpp,
    "common-expression-language": cel_rust, "json-logic-modernized": json_logic, "jsonlogic-rs": json_logic_rust,
    "cedarpy": cedar, "rule-engine": rule_engine, "regopy": rego, "cel-python": cel_python,
}  # fmt: skip
