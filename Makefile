# What people run. Everything that is built lies under the user's cache, keyed by content; the checkout stays clean.

export OMP_NUM_THREADS ?= 1
PYTHON = $(shell python3 -m hack.environment where)/bin/python
BIN = $(dir $(PYTHON))
SLOW = tests/jobs tests/chart tests/benchmarks
PARALLEL = -n 2 --dist worksteal
LOCK = $(PYTHON) -m uv pip compile --quiet --generate-hashes --no-header --no-annotate --no-emit-index-url \
	--no-emit-find-links --python-version 3.11 pyproject.toml --extra

.NOTPARALLEL:
.PHONY: check test docs demo cluster cluster-down crds images bench bench-method lock environment

check: environment docs # lint, types, layers, policies, pure tests and the pages: four minutes, no cluster
	$(BIN)ruff format --check . && $(BIN)ruff check . && $(BIN)mypy && PYTHONPATH=operator:images/jobs $(BIN)lint-imports --no-cache
	$(PYTHON) -m pytest $(PARALLEL) -m "not cluster and not gpu" $(addprefix --ignore=,$(SLOW))

test: check # everything: check, jobs on CPU, a real cluster, images, chart and the end-to-end suite
	$(PYTHON) -m pytest $(PARALLEL) -m "not cluster" tests/jobs tests/benchmarks
	$(MAKE) cluster images
	$(PYTHON) -m pytest -m "not cluster" tests/chart
	$(PYTHON) -m pytest -m cluster

docs: environment # the documentation as a site, build/docs/index.html; a link that leads nowhere is an error
	$(PYTHON) -m sphinx -W -n --keep-going -E -q -c docs -d build/doctrees . build/docs

demo: environment cluster images # a refresh that is promoted and one that is rejected; EXAMPLE="06-lora.yaml" tries others
	$(PYTHON) -m examples.demo $(EXAMPLE)

cluster: environment # a throw-away single-node Kubernetes; CLUSTER=current takes the current context
	$(PYTHON) -m hack.cluster up

cluster-down: # stop that cluster and remove its state; built programs stay cached
	python3 -m hack.cluster down

crds: environment # write crds/*.yaml, the chart's copies and the generated pages of docs/ from the code
	PYTHONPATH=operator $(PYTHON) -m modelrefresh.api.schema crds && cp crds/*.yaml charts/modelrefresh/files/crds/
	PYTHONPATH=operator $(PYTHON) -m hack.rules_page docs/rules.md
	PYTHONPATH=operator $(PYTHON) -m hack.fields_page docs/reference/fields.md
	PYTHONPATH=operator:images/jobs $(PYTHON) -m hack.commands_page docs/reference/commands.md
	PYTHONPATH=operator:images/jobs $(PYTHON) -m hack.families_page docs/reference/families.md
	$(PYTHON) -m hack.attacks_table docs/security.md

images: environment # build both images from the checkout and push them to the cluster's registry
	$(PYTHON) -m hack.images build

bench: environment # figures kept in docs/benchmarks.md; BENCH=merge, data, recipes, fuzz, fairness or operator takes one part
	PYTHONPATH=operator:images/jobs $(PYTHON) -m benchmarks $(BENCH) --write

bench-method: environment # the method's claims in docs/method.md, an hour; goes on where it was; CELLS="settings scales" MINUTES=20
	PYTHONPATH=operator:images/jobs $(PYTHON) -m benchmarks.method $(CELLS) $(if $(MINUTES),--minutes $(MINUTES))

lock: environment # write requirements/*.txt anew from pyproject.toml
	$(LOCK) operator -o requirements/operator.txt
	$(LOCK) jobs -o requirements/jobs.txt
	$(LOCK) dev --extra operator --extra jobs --extra demo -o requirements/dev.txt

environment:
	@python3 -m hack.environment
