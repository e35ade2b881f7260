"""A run again, from its record: the turn's own code, with the outside answered from the journal.

Models, tools, retrieval, clock and ids come from recorded facts; nothing here can reach a handler
(`gate.ReplayGate` is given tools without any). `play` plays a run, `compare` names the first fact
that came out otherwise. With a `Change` the same machinery says what would have been.

Invariants: an unchanged run plays back identical to the byte of every fact it made; no effect, no
record and no request leaves this room; where the record has no answer a replay says so
(`RecordEnds`) and never guesses.
"""
