"""Generic UDP encapsulation, variant 0 without extensions. Spec: draft-ietf-intarea-gue-09 section 3."""

from libc.stdint cimport uint8_t

from ext.order cimport be16

cdef enum:
    GUE_LEN = 4
    GUE_PORT_FIRST = 49152     # source ports that tell flows apart are dynamic ones (draft 5.6.1)
    GUE_PORTS = 16384

cdef packed struct gue_hdr:
    uint8_t variant_len        # variant, control bit and length of extensions: all 0
    uint8_t protocol           # of what follows, by its IP protocol number
    be16 flags                 # of extensions: none
