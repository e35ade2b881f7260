"""Whether the evidence is enough to answer, and whether a draft rests on it.

Decides: confidence from what retrieval measured over the asker's view (`confidence`,
`calibration`), sufficient, weak or empty (`floor`), whether the product or plan named in the
question is the one named in the passage (`entity`), which sentences answer (`quoting`), whether
each statement of a draft is backed (`support`), and what the asker is told instead (`abstention`).

Never calls a model, reads a clock or looks beyond the asker's view; never lets an unvetted passage
ground an answer. Invariants: every result is a pure function of question, retrieval and
calibration; a quotation is verbatim; a hard finding blocks whatever the score.
Tests: `tests/unit/grounding`.
"""
