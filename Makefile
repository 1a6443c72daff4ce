# Every target is one way in; `make` alone lists them. Nothing here needs an accelerator or the network after `setup`.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
RUN ?= runs/demo
CLASSIFIER ?= cascade
ROUNDS ?= 1
JOBS ?= 2
LABELLERS ?= tagger_truth,prompt_truth
ATTACKS ?= homoglyphs,recompress
CLASSIFIERS ?= late_fusion
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export WHEELHOUSE
export OMP_NUM_THREADS ?= 1
export HF_HUB_OFFLINE ?= 1

.PHONY: help setup wheelhouse supply-chain demo test test-slow check format docs shards evaluate mutate fuzz query generate label attack moderate train harden verify report app unsafebench world-data cluster cluster-stop clean

help: ## list the targets
	@grep -hE '^[a-z-]+%?:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z%-]+):[^#]*## /\1\t/' | expand -t 16

setup: $(READY) ## make .venv with everything in it (again only when what is pinned changes)

$(READY): pyproject.toml .ci/constraints.txt .ci/weights.txt .ci/integrations.txt .ci/setup
	.ci/setup $(PYTHON) $(VENV)
	@touch $@

wheelhouse: setup ## gather every wheel that setup installs (WHEELHOUSE=wheelhouse); then `make setup WHEELHOUSE=…` asks no registry
	.ci/wheelhouse $(VENV) $(or $(WHEELHOUSE),wheelhouse)

supply-chain: setup ## licences, a CycloneDX bill of materials, secrets, known vulnerabilities: build/supply-chain
	.ci/supply-chain $(PYTHON) $(VENV) build/supply-chain

demo: setup ## the whole street: 256 pairs, variants, labels, shards, classifiers, evaluation, and where it all lies
	$(BIN)/python jobs/demo.py --out runs/demo

test: setup ## the fast tests
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

test-slow: setup ## kills, object store, model classes
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m slow --timeout 900

check: setup ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: setup ## put the code into form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench-%: setup ## measure: bench-generate, bench-row-settings, bench-remote-images, bench-world, bench-shards, bench-labels, bench-gate, bench-hashes, bench-serve, bench-app, bench-rewrite, bench-attacks, bench-attack-success, bench-defence, bench-perspective, bench-perspective-robustness, bench-in-diffusion, bench-gpu
	$(BIN)/python -m bench.$(subst -,_,$*) $(ARGS)

mutate: setup ## put 40 aimed faults in one after the other: a named test has to fail with each
	$(BIN)/python -m bench.mutate

fuzz: setup ## feed a million mutated inputs to every door (ARGS="--inputs 30000 --door tar")
	$(BIN)/python -m bench.fuzz $(ARGS)

docs: setup ## make the tables of docs/ from bench/results again
	$(BIN)/python -m bench.pages

generate: setup ## turn prompts into pairs (RUN=runs/demo ARGS="--prompts FILE --count 100")
	$(BIN)/python jobs/generate.py --out $(RUN) $(ARGS)

label: setup ## let labellers vote and derive labels (RUN=runs/demo LABELLERS=tagger_truth,prompt_truth)
	$(BIN)/python jobs/label.py $(RUN) --labellers $(LABELLERS)
	$(BIN)/python jobs/label.py $(RUN) --aggregate majority

attack: setup ## append variants of a run's samples: make attack RUN=… ATTACKS=typos,recompress ARGS="--samples 500"
	$(BIN)/python jobs/attack.py $(RUN) --attacks $(ATTACKS) $(ARGS)

moderate: setup ## say of every picture whether it is safe: make moderate PICTURES=folder/
	$(BIN)/python jobs/moderate.py $(PICTURES) $(ARGS)

shards: setup ## turn a run into a leak-free, split, sharded dataset (RUN=runs/demo)
	$(BIN)/python jobs/shards.py $(RUN)

evaluate: setup ## judge classifiers of a run: make evaluate RUN=… CLASSIFIERS=late_fusion,cascade ARGS="--attacks pgd --adaptive"
	$(BIN)/python jobs/evaluate.py $(RUN) --classifiers $(CLASSIFIERS) $(ARGS)

query: setup ## ask a run: make query Q="SELECT count(*) FROM samples" (RUN=runs/demo)
	$(BIN)/python jobs/query.py $(RUN) "$(Q)"

train: setup ## train a classifier on a run's shards: make train RUN=runs/demo CLASSIFIER=multimodal
	$(BIN)/python jobs/train.py $(RUN) --classifier $(CLASSIFIER)

harden: setup ## attack that classifier, add the variants, train again (RUN=runs/demo CLASSIFIER=cascade ROUNDS=1)
	$(BIN)/python jobs/harden.py $(RUN) --classifier $(CLASSIFIER) --rounds $(ROUNDS)

verify: setup ## hash a run again, check receipts, lineage and splits (RUN=runs/demo)
	$(BIN)/python jobs/verify.py $(RUN)

report: setup ## one page of what a run made (RUN=runs/demo)
	$(BIN)/python jobs/report.py $(RUN)

app: setup ## look through a run and review it, in a browser on loopback (RUN=runs/demo ARGS="--people …")
	$(BIN)/python jobs/app.py $(RUN) $(ARGS)

unsafebench: setup ## UnsafeBench's whole protocol on the embedded world: tables and figures in runs/unsafebench
	$(BIN)/python jobs/unsafebench.py runs/unsafebench --vlm assets/world/vlm

world-data: setup ## build the atlases of pictograms again from their packages
	$(BIN)/python -m stages.world.fetch

cluster: setup ## start a Ray head on this machine (loopback, token); jobs then go in with `ray job submit`
	.ci/cluster start

cluster-stop: ## stop the head that `make cluster` started
	.ci/cluster stop

clean: ## remove what tests and benchmarks left, not .venv and not your runs
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
