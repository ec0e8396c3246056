"""How IPVS follows a TCP connection through NAT or from one side, transcribed by hand from its description, row by row.

Each row says which states change and to what; a state that is not named stays. A SYN-ACK counts as SYN; a reset goes
before SYN, SYN before FIN, FIN before the rest. LISTEN and SYNACK, which swlb does not have, are left out.
"""

CLIENT, SERVER = "client", "server"
ALONE = "client of a server that is not heard"
STATES = ("SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSED")
CLASSES = {"S": "SYN", "SA": "SYN", "F": "FIN", "FA": "FIN", "A": "ACK", "PA": "ACK", "R": "RST", "RA": "RST"}
SHORT = {"SS": "SYN_SENT", "SR": "SYN_RECV", "ES": "ESTABLISHED", "FW": "FIN_WAIT", "CW": "CLOSE_WAIT",
         "LA": "LAST_ACK", "TW": "TIME_WAIT", "CL": "CLOSED"}

ROWS = {
    (CLIENT, "SYN"): "SR FW TW CL CW LA > SR; SS > ES",
    (CLIENT, "FIN"): "ES > CW; SR FW > TW",
    (CLIENT, "ACK"): "SR > ES; LA > CL",
    (CLIENT, "RST"): "SS ES FW CW TW CL > CL",
    (SERVER, "SYN"): "FW TW CL CW LA > SS",
    (SERVER, "FIN"): "SR CW > TW; ES > FW",
    (SERVER, "ACK"): "",
    (SERVER, "RST"): "SR ES FW CW LA CL > CL",
    (ALONE, "SYN"): "SR FW TW CL CW LA > SR; SS > ES",
    (ALONE, "FIN"): "ES > FW; SR TW > TW",
    (ALONE, "ACK"): "SR > ES; LA > CL",
    (ALONE, "RST"): "ES SS FW TW CL CW > CL",
}


def row(text: str) -> dict[str, str]:
    """The changes one row speaks of."""
    changes = {}
    for clause in filter(None, (part.strip() for part in text.split(";"))):
        states, target = clause.split(">")
        changes.update({SHORT[state]: SHORT[target.strip()] for state in states.split()})
    return changes


def next_state(state: str, direction: str, flags: str) -> str:
    """The state after a segment with these flags (as scapy writes them) from that side."""
    return row(ROWS[direction, CLASSES[flags]]).get(state, state)


def ways(*sides: str) -> dict[str, list[tuple[str, str]]]:
    """A shortest way to every state that segments of those sides lead to: (direction, flags) after the first SYN."""
    found: dict[str, list[tuple[str, str]]] = {"SYN_RECV": []}
    while True:
        longer = {next_state(state, direction, flags): [*way, (direction, flags)]
                  for state, way in found.items() for direction in sides for flags in CLASSES}
        new = {state: way for state, way in longer.items() if state not in found}
        if not new:
            return found
        found.update(new)
