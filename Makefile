PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
KERNELS := recsvc/recommender/kernels/compiled.pyx
PYTEST_ARGS ?= -n 6 --dist worksteal

.PHONY: setup demo test browser lint docs lock messages screenshots clean

setup: $(INSTALLED)

$(INSTALLED): requirements-dev.txt setup.cfg setup.py pyproject.toml $(KERNELS)
	@echo "Installing into $(VENV); the first time takes a minute."
	@$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

# The whole system with a bookshop in it, in an instance folder of its own. ONCE=1 ends by itself.
demo: export INSTANCE_DIR ?= instance/demo
demo: export SECRET_KEY ?= nobodys-secret-but-the-demos
demo: setup
	$(BIN)/recsvc demo $(if $(ONCE),--once)

# Hundreds of processes are started: each would compile the service anew where nothing may be kept of that.
test: export PYTHONDONTWRITEBYTECODE :=
test: setup lint browser
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# The console is tried in the system's Chromium, else in one that is installed here where that can be done.
browser: export PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT ?= 10000
browser: setup
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null \
		|| command -v google-chrome >/dev/null || $(BIN)/playwright install chromium --no-shell \
		|| echo "NO CHROMIUM COULD BE INSTALLED: THE CONSOLE WILL NOT BE TRIED IN A BROWSER."

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The documents, with all that is drawn from the code, into a folder that needs no network and no server.
docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "The documents are in build/docs. To search in them too: $(BIN)/python -m http.server --directory build/docs"

# What the console says, into its Portuguese catalogue: translate what is new there, and make it once more.
MESSAGES := recsvc/console/translations
ERRORS = $(shell sed -n 's/^class \([A-Za-z]*Error\).*/\1/p' recsvc/errors.py)
messages: setup
	$(BIN)/pybabel --quiet extract -F recsvc/console/babel.cfg -k _l -k _setting:3 -k RowError:1 -k Sentence:1 \
		$(ERRORS:%=-k %:1) --sort-output --no-location --width 110 -o $(MESSAGES)/messages.pot .
	$(BIN)/pybabel --quiet update --no-fuzzy-matching --ignore-obsolete --width 110 \
		-i $(MESSAGES)/messages.pot -d $(MESSAGES)
	rm $(MESSAGES)/messages.pot
	$(BIN)/pybabel --quiet compile -d $(MESSAGES)

# Every page of the console on the demonstration's shop, as the documents show it.
screenshots: setup
	SCREENSHOTS=docs/images/console $(BIN)/python -m pytest -q tests/console/test_browser.py -k screenshot

# Pins every package for every supported Python at once; what serves is pinned to what was tested.
lock: setup
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
		--no-header --no-emit-index-url --extra build --extra dev --extra docs setup.cfg -o requirements-dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-header --no-emit-index-url --extra build setup.cfg -c requirements-dev.txt -o requirements.txt

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
