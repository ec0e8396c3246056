"""What a session goes through. Spec: linux/net/netfilter/ipvs/ip_vs_proto_tcp.c, whose table this is.

    state         meaning                                         counts as   idle time
    SYN_SENT      the server sent a SYN of its own into the rest  inactive    tcp_syn
    SYN_RECV      the client's SYN went to the server             inactive    tcp_syn
    ESTABLISHED   the client has acknowledged                     active      tcp_established
    FIN_WAIT      the server has closed its side                  inactive    tcp_fin
    CLOSE_WAIT    the client has closed its side                  inactive    tcp_fin
    LAST_ACK      closed by both, last acknowledgement due        inactive    tcp_fin
    TIME_WAIT     closed by both                                  inactive    tcp_fin
    CLOSED        reset; UDP: all replies have come               inactive    tcp_closed
    UNREPLIED     began in mid-stream, no answer yet              inactive    tcp_syn
    ONE_WAY       UDP, nothing came back yet                      inactive    udp
    TWO_WAY       UDP, both sides were heard                      inactive    udp_stream

Where replies go past swlb (direct server return, tunnels), only the client is heard, and two states are guesses:
ESTABLISHED is reached with the client's second segment, TWO_WAY with its second datagram, as who is not answered
rarely goes on. FIN_WAIT stands for CLOSE_WAIT, as the server's FIN will not be seen. A reply that is heard all the
same ends the guessing.

UNREPLIED is swlb's own: a client's segment of no session that a hash gives to a server (balance.pxd). A forger can send
that, but has no answer of the server's for it but a reset; where only the client is heard, its second segment counts.

A reset counts only if its number can be right, and who goes on after his own has not sent it: CLOSED becomes
ESTABLISHED again (sequence.pxd).

A SYN of the client in a state from FIN_WAIT to CLOSED is a new connection from a used port: the session is
given up and the SYN scheduled anew (balance.pxd).
"""

from libc.stdint cimport uint8_t

cdef extern from * nogil:
    """
    #include <stdint.h>
    enum swlb_state { S_NONE, SYN_SENT, SYN_RECV, ESTABLISHED, FIN_WAIT, CLOSE_WAIT, LAST_ACK, TIME_WAIT, CLOSED,
                      UNREPLIED, ONE_WAY, TWO_WAY, N_STATES };
    static const char *const swlb_state_names[] = {
        "NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSED",
        "UNREPLIED", "ONE_WAY", "TWO_WAY" };
    #define SS SYN_SENT
    #define SR SYN_RECV
    #define ES ESTABLISHED
    #define FW FIN_WAIT
    #define CW CLOSE_WAIT
    #define LA LAST_ACK
    #define TW TIME_WAIT
    #define CL CLOSED
    #define UR UNREPLIED
    /* [direction: 0 from the client, 1 from the server, 2 from the client of a server that is not heard]
       [SYN, FIN, ACK, RST][state, S_NONE to UNREPLIED] */
    static const uint8_t swlb_tcp_next[3][4][10] = {
        {/*          --  SS  SR  ES  FW  CW  LA  TW  CL  UR */
         /* SYN */ { SR, ES, SR, ES, SR, SR, SR, SR, SR, SR },
         /* FIN */ { UR, SS, TW, CW, TW, CW, LA, TW, CL, UR },
         /* ACK */ { UR, SS, ES, ES, FW, CW, CL, TW, CL, UR },
         /* RST */ { CL, CL, SR, CL, CL, CL, LA, CL, CL, UR }},
        {/*          --  SS  SR  ES  FW  CW  LA  TW  CL  UR */
         /* SYN */ { SS, SS, SR, ES, SS, SS, SS, SS, SS, UR },
         /* FIN */ { TW, SS, TW, FW, FW, TW, LA, TW, CL, FW },
         /* ACK */ { ES, SS, SR, ES, FW, CW, LA, TW, CL, ES },
         /* RST */ { CL, SS, CL, CL, CL, CL, CL, TW, CL, CL }},
        {/*          --  SS  SR  ES  FW  CW  LA  TW  CL  UR */
         /* SYN */ { SR, ES, SR, ES, SR, SR, SR, SR, SR, SR },
         /* FIN */ { UR, SS, TW, FW, FW, CW, LA, TW, CL, FW },
         /* ACK */ { UR, SS, ES, ES, FW, CW, CL, TW, CL, ES },
         /* RST */ { CL, CL, SR, CL, CL, CL, LA, CL, CL, CL }},
    };
    #undef SS
    #undef SR
    #undef ES
    #undef FW
    #undef CW
    #undef LA
    #undef TW
    #undef CL
    #undef UR
    """
    enum:
        S_NONE
        SYN_SENT
        SYN_RECV
        ESTABLISHED
        FIN_WAIT
        CLOSE_WAIT
        LAST_ACK
        TIME_WAIT
        CLOSED
        UNREPLIED
        ONE_WAY
        TWO_WAY
        N_STATES
    const char *const state_names "swlb_state_names"[]
    const uint8_t tcp_next "swlb_tcp_next"[3][4][10]

cdef enum:
    FROM_CLIENT = 0
    FROM_SERVER = 1
    ONE_SIDED = 2          # from the client, and nothing of the server has been heard
    FLAG_FIN = 0x01
    FLAG_SYN = 0x02
    FLAG_RST = 0x04


cdef inline uint8_t tcp_state(uint8_t state, int direction, uint8_t flags) noexcept nogil:
    """The state after a segment with these flags; RST goes before SYN before FIN before the rest."""
    if flags & FLAG_RST:
        return tcp_next[direction][3][state]
    if flags & FLAG_SYN:
        return tcp_next[direction][0][state]
    if flags & FLAG_FIN:
        return tcp_next[direction][1][state]
    return tcp_next[direction][2][state]


cdef inline uint8_t udp_state(uint8_t state, int direction) noexcept nogil:
    """ONE_WAY until the server has answered, or must have, as it is not heard; then TWO_WAY, until CLOSED (datagrams.pxd)."""
    if direction == FROM_SERVER or state == TWO_WAY:
        return TWO_WAY
    return TWO_WAY if direction == ONE_SIDED and state == ONE_WAY else ONE_WAY


cdef inline bint is_closing(uint8_t state) noexcept nogil:
    """Whether a new SYN of the client means a new connection."""
    return FIN_WAIT <= state <= CLOSED


cdef inline bint is_open(uint8_t state) noexcept nogil:
    """Whether the server still has something to do for the session: it was not closed by both sides, nor reset."""
    return state < LAST_ACK or state > CLOSED


cdef inline uint8_t told_state(uint8_t state) noexcept nogil:
    """As what it is told: one that is unreplied is half open like any other."""
    return <uint8_t>SYN_RECV if state == UNREPLIED else state


cdef inline bint is_proven(uint8_t state) noexcept nogil:
    """Whether both sides have spoken, and neither has ended it."""
    return state == ESTABLISHED or state == TWO_WAY
