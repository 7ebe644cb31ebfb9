# Daily verbs. `make help` lists them.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export HF_HUB_DISABLE_TELEMETRY = 1
export MLFLOW_DISABLE_TELEMETRY = true
export DVC_NO_ANALYTICS = true
PYTEST := python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: help install run test test-all check format mpnet teacher corpus-stats realism audit recipe bench-quality bench-predict bench-growth faithfulness bench-serve screenshot results report curve clean

help:  ## list the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

install: .venv/installed  ## make the virtual environment with locked dependencies

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[train,dev,serve]"
	@touch $@

run: install  ## train both models, compare them, and label the sentences of a sample article
	dvc repro
	@cat experiments/report.md
	conflict-claims predict examples/article.txt
	@echo "Look at the trainings in MLflow: .venv/bin/mlflow ui   (then open http://127.0.0.1:5000)"

test: install  ## the fast tests
	$(PYTEST)

test-all: install  ## all tests, the slow ones too (installs Ray and Spark, 0.7 GB; Spark needs Java)
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[train,dev,serve,ray,spark]"
	$(PYTEST) -m "slow or not slow"

check: install  ## style, types, and the corpus gates
	ruff check .
	ruff format --check .
	mypy
	conflict-claims corpus check --unlabelled data/unlabelled

format: install  ## put the code into shape
	ruff check --fix .
	ruff format .

mpnet: install  ## train the larger encoder too (models/mpnet)
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[train,dev,mpnet]"
	conflict-claims train transformer --encoder mpnet --output models/mpnet --overwrite

teacher: mpnet  ## train the teacher, and write what it thinks of the sentences that the small models learn from
	conflict-claims teach models/mpnet --output data/teacher/mpnet.json

corpus-stats: install  ## the tables and pictures of the datasheet
	conflict-claims corpus stats --output experiments/corpus --insert data/corpus/README.md > /dev/null

audit: install  ## flag the labels that a cross-validated model doubts (more than half an hour on two cores)
	conflict-claims corpus audit

REAL_NEWS ?= ../shared/real_news/sentences.jsonl
MODELS = tfidf transformer mpnet
results: install  ## tables, pages and cards on the test split and on REAL_NEWS, from the models in models/
	for m in $(MODELS); do \
	  conflict-claims evaluate models/$$m --name "test split" --output experiments/results/$$m-test.json \
	    --evidence experiments/evidence/$$m-test.json || exit; \
	  conflict-claims evaluate models/$$m --name "real news" --data $(REAL_NEWS) --without-text \
	    --output experiments/results/$$m-real-news.json --evidence experiments/evidence/$$m-real-news.json || exit; \
	  conflict-claims evaluate models/$$m --name "real news, drawn at random" --data $(REAL_NEWS) \
	    --only stratum=natural --output experiments/results/$$m-real-news-natural.json || exit; \
	done
	for m in $(MODELS); do \
	  conflict-claims check-behaviour models/$$m --output experiments/results/behaviour/$$m.json > /dev/null || exit; \
	done
	conflict-claims compare models/tfidf models/transformer --name "test split" --metrics experiments/compare/test.json
	conflict-claims compare models/tfidf models/transformer --name "real news" --data $(REAL_NEWS) \
	  --metrics experiments/compare/real-news.json
	$(MAKE) report

report: install  ## the same tables, pages and cards once more, from the files of `make results` alone
	conflict-claims report experiments/results/*.json --output experiments/results.md \
	  --evidence $(foreach m,$(MODELS),experiments/evidence/$(m)-test.json experiments/evidence/$(m)-real-news.json) \
	  --behaviour $(foreach m,$(MODELS),experiments/results/behaviour/$(m).json) \
	  --compared experiments/compare/test.json experiments/compare/real-news.json \
	  --insert README.md docs/evaluate.md --pages experiments/results

realism: install  ## how far the corpus is from REAL_NEWS
	conflict-claims corpus realism --real $(REAL_NEWS) --output experiments/corpus

recipe: install  ## what each idea does to the small transformer, three seeds each, on today's corpus (two hours; goes on where it was stopped; needs make mpnet)
	python benchmarks/recipe.py

bench-quality: install  ## every contender on the same splits (hours on two cores; goes on where it was stopped; QUICK=--quick)
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[train,dev,bench]"
	python benchmarks/quality.py --also $(REAL_NEWS) $(QUICK) $(if $(QUICK),,--insert README.md)

bench-predict: install  ## how fast predicting is, against what one would otherwise write (minutes)
	python benchmarks/predict.py --insert docs/predict.md

bench-growth: install  ## rate and memory of predict at 10 thousand to a million sentences (minutes; goes on where it was stopped)
	python benchmarks/growth.py --insert docs/predict.md

faithfulness: install  ## do the words that explain names move the label? (table of docs/explain.md)
	python benchmarks/faithfulness.py models/tfidf models/transformer --insert docs/explain.md

bench-serve: install  ## rate and latency of the service at 1, 8 and 32 clients, and a stop under load (table of docs/serve.md)
	python benchmarks/serve.py --insert docs/serve.md

screenshot: install  ## pictures of the page (needs chromium; fonts-inter and fonts-crosextra-caladea make them look as they do)
	python benchmarks/screenshot.py

curve: install  ## the learning curve of both models (takes an hour on two cores; goes on where it was stopped)
	conflict-claims corpus curve --also $(REAL_NEWS)

clean:  ## remove what the pipeline made (not the environment)
	rm -rf models data/splits experiments/plots dist
