CASE ?= data/fdr_structures/stockholm
# Extra words for pytest: make test ARGS="-k price -x". Two workers, because random markets take minutes otherwise.
ARGS ?= -n 2
python := .venv/bin/python
# Two workers share two cores: threads of linear algebra beside them only get in their way.
export OPENBLAS_NUM_THREADS ?= 1

.PHONY: run test test-all lint setup doctor lock clean ready

run: ready
	$(python) solve.py $(CASE)

test: ready lint
	$(python) -m pytest $(ARGS)

# The default leaves out what is marked slow; an empty expression takes all.
test-all: ready lint
	$(python) -m pytest -m "" $(ARGS)

lint: ready
	$(python) -m ruff check .
	$(python) -m mypy

# Also tries again what an earlier set-up had to leave out.
setup:
	@sh tools/setup.sh

doctor: ready
	$(python) -m equilibrium.doctor

ready:
	@sh tools/setup.sh --once

# Newest versions, with the hashes of their files for every platform and Python at once. casadi brings Ipopt and its headers,
# cython and setuptools build cyipopt. cyipopt has a lock of its own because pip must not touch it before casadi is there.
lock: ready
	$(python) -m venv --clear .venv/lock
	.venv/lock/bin/pip install -q uv
	printf 'casadi\ncython\nsetuptools\n' | $(compile) --extra dev pyproject.toml - -o requirements.lock
	printf 'cyipopt\n' | $(compile) --no-deps - -o requirements-nonlinear.lock
	rm -rf .venv/lock
compile := UV_CUSTOM_COMPILE_COMMAND="make lock" .venv/lock/bin/uv pip compile -q --upgrade --universal --python-version 3.11 \
	--fork-strategy fewest --generate-hashes --no-annotate

clean:
	rm -rf .venv build *.egg-info .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
