# The menu. `make demo` and `make test` need nothing but Python 3.11+, a C library and the package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1
EXAMPLES ?= 10000
TRIALS ?= 1000
VIA ?= plain
.DEFAULT_GOAL := help
.PHONY: help setup demo test check lock fit-confidence bench bench-turn bench-grounding bench-store \
        bench-traces bench-gates bench-names prove-leaks prove-effects prove-journal peers peers-setup peers-effects \
        bench-gate-cost agentdojo-setup bench-agentdojo tau2-setup bench-tau2 docs clean

help:  ## Show this menu
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(VENV)/.made: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Staid needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	@touch $@

$(VENV)/.made-dev: $(VENV)/.made requirements-dev.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements-dev.lock
	@touch $@

setup: $(VENV)/.made-dev  ## Create .venv with everything, development tools included

demo: $(VENV)/.made  ## See the whole product in one minute: no key, no server
	@$(BIN)/staid demo

check: setup  ## Format, lint, types, import contracts, house rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/pyright
	$(BIN)/python benchmarks/house.py

test: setup  ## The same suite as CI
	$(BIN)/python -m pytest -n 2 --dist loadfile

fit-confidence: setup  ## Fit the packaged calibration from STAID_DATA
	$(BIN)/python benchmarks/fit_confidence.py

bench: bench-turn bench-grounding bench-traces bench-gates  ## Every benchmark

bench-turn: setup  ## CPU per turn, import and --help
	$(BIN)/python benchmarks/bench_turn.py

bench-grounding: setup  ## Risk and coverage on STAID_DATA
	$(BIN)/python benchmarks/bench_grounding.py

bench-store: setup  ## Finding and opening runs among a million events
	$(BIN)/python benchmarks/bench_store.py

bench-traces: setup  ## What a fact costs, what is durable, what kill -9 loses
	$(BIN)/python benchmarks/bench_traces.py

bench-gates: setup  ## What a ruling costs under a thousand rules
	$(BIN)/python benchmarks/bench_gates.py

bench-names: setup  ## What the lists of the extra `names` find, and what they mask for nothing
	$(BIN)/python benchmarks/bench_names.py

prove-leaks: setup  ## More examples of the leak property than CI runs
	STAID_LEAK_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest tests/property -k leak -q -n 2 --timeout 0

prove-effects: setup  ## More kills around an effect than CI runs; VIA=all adds frameworks
	$(BIN)/python benchmarks/prove_effects.py --trials $(TRIALS) --via $(VIA)

.venv-peers/.made: benchmarks/peers-requirements.txt | setup
	$(BIN)/uv venv -q --clear --python $(BIN)/python .venv-peers
	$(BIN)/uv pip install --quiet --python .venv-peers/bin/python -r benchmarks/peers-requirements.txt
	@touch $@

peers-setup: .venv-peers/.made  ## Create .venv-peers with real receivers and other clients (1.6 GB)

peers: peers-setup  ## Export to a real Phoenix and a real MLflow, and read back
	$(BIN)/python benchmarks/peers.py

.venv-effects-peers/.made: benchmarks/effects-peers-requirements.txt | setup
	$(BIN)/uv venv -q --clear --python $(BIN)/python .venv-effects-peers
	$(BIN)/uv pip install --quiet --python .venv-effects-peers/bin/python -r benchmarks/effects-peers-requirements.txt
	@touch $@

peers-effects: .venv-effects-peers/.made  ## How often an approved refund happens under kill -9: Staid beside its peers
	$(BIN)/python benchmarks/peers_effects.py --write

.venv-agentdojo/.made: benchmarks/agentdojo-requirements.txt | setup
	$(BIN)/uv venv -q --clear --python $(BIN)/python .venv-agentdojo
	$(BIN)/uv pip install --quiet --python .venv-agentdojo/bin/python -r benchmarks/agentdojo-requirements.txt
	@touch $@

agentdojo-setup: .venv-agentdojo/.made  ## Create .venv-agentdojo with the outside benchmark of attacks

bench-agentdojo: agentdojo-setup  ## Tasks and attacks of AgentDojo through the gate, without a model
	PYTHONPATH=src .venv-agentdojo/bin/python benchmarks/agentdojo_replay.py $(if $(WRITE),--write $(WRITE))

.venv-tau2/.made: benchmarks/tau2-requirements.txt | setup
	$(BIN)/uv pip install --quiet --no-deps --target .venv-tau2 -r benchmarks/tau2-requirements.txt
	@touch $@

tau2-setup: .venv-tau2/.made  ## Fetch the two databases of an outside benchmark of written policies

bench-tau2: tau2-setup  ## Two written policies as rules: right writes, wrong ones, recorded conversations
	$(BIN)/python benchmarks/tau2_replay.py --records .venv-tau2/tau2/data/tau2/domains $(if $(WRITE),--write $(WRITE))

bench-gate-cost: .venv-effects-peers/.made  ## What one tool call costs at the gate, beside DBOS and LangGraph
	$(BIN)/python benchmarks/gate_cost.py --write

prove-journal: setup  ## More kills under load than CI runs
	$(BIN)/python benchmarks/prove_journal.py --trials $(if $(filter file,$(origin TRIALS)),500,$(TRIALS))

docs: setup  ## Write the generated parts of the documentation
	$(BIN)/python benchmarks/write_docs.py

lock: $(VENV)/.made  ## Resolve the dependencies anew
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links \
	  --generate-hashes --no-header pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links \
	  --generate-hashes --no-header pyproject.toml --group dev -o requirements-dev.lock

clean:  ## Remove what the targets above made
	rm -rf $(VENV) .venv-* .pytest_cache .ruff_cache .hypothesis
