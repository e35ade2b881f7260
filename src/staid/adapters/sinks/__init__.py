"""Destinations of exports: one file per way to deliver, one per receiver's own interface.

A sink says what arrived, what will never arrive and what to try again. It decides neither what may
leave nor when: that is `tracing.disclosure` and `project.exporting`.
Tests: `tests/unit/adapters/sinks`, `tests/contract/test_sinks.py`.
"""
