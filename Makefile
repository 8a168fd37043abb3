# Common tasks. `make` alone lists the targets.
# Needs Python 3.11, 3.12 or 3.13 (or PYTHON=path/to/it), make and a C library; everything else goes into .venv.

PHOTOS ?=
ARGS ?=
BIN := .venv/bin
export TF_CPP_MIN_LOG_LEVEL ?= 2
export PIP_DISABLE_PIP_VERSION_CHECK := 1

need_photos = $(if $(PHOTOS),,$(error Name the photos: make $@ PHOTOS=folder))

# tests/conftest.py decides how many workers that is.
IN_PARALLEL := -n auto --dist worksteal

.PHONY: help install demo docs test test-slow test-pythons wheel dist golden test-tfio test-engines lint format check photos places bench bench-quick bench-restoration bench-codec bench-encode bench-saliency bench-giant \
	bench-transcoding bench-parts \
	bench-report bench-kill bench-soak bench-cloud bench-isolation bench-hostile bench-accounting bench-compaction bench-flips bench-durability \
	train-restoration lock hashes audit clean

help: ## show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/.installed ## set up .venv with the pinned packages (once)

.venv/.installed: pythons := 3.11 3.12 3.13
.venv/.installed: extras := dev
.venv/.installed: setup.py constraints.txt
	$(set_up)
	@$(BIN)/python -m foveate.compile
	@echo "Installed: $(BIN)/foveate"

# Environments of `make test-pythons`, one for each Python.
.venv-3.%/.installed: pythons = 3.$*
.venv-3.%/.installed: extras = dev
.venv-3.%/.installed: setup.py constraints.txt
	$(set_up)

# Reading DICOM needs an older TensorFlow, and therefore its own environment.
.venv-tfio/.installed: pythons := 3.11 3.12
.venv-tfio/.installed: extras := dev,tfio,tfio-dev
.venv-tfio/.installed: setup.py constraints-tfio.txt
	$(set_up)

# Sets up the environment that a target lies in, from the lock that is its second prerequisite. The Python is
# chosen by what runs, not by what is found: a name on the PATH may be a stub.
define set_up
@venv=$(@D); python=; \
for candidate in $(or $(PYTHON),$(addprefix python,$(pythons)) python3); do \
	if $$candidate -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] not in "$(pythons)".split())' 2>/dev/null; \
	then python=$$candidate; break; fi; \
done; \
if [ -z "$$python" ]; then \
	echo "$$venv needs one of these Pythons, and none runs here: $(pythons). Install one, or name it:" >&2; \
	echo "    make $(or $(MAKECMDGOALS),install) PYTHON=/path/to/python3.12" >&2; exit 1; \
fi; \
if [ ! -x $$venv/bin/python ] || ! $$venv/bin/python -m pip --version >/dev/null 2>&1; then \
	echo "Making $$venv with $$($$python --version) ($$(command -v $$python))"; \
	rm -rf $$venv; \
	$$python -m venv $$venv || { \
		echo "No virtual environment: on Debian and Ubuntu, apt install python3-venv" >&2; exit 1; }; \
fi
@echo "Installing the pinned packages: some 850 MB to fetch the first time; a few minutes"
@{ $(@D)/bin/python -m pip install --progress-bar off -c $(word 2,$^) -e '.[$(extras)]' </dev/null 2>&1; \
	echo $$? > $(@D)/.status; } | tee $(@D)/install.log | sed -n -u \
	-e 's/^ *\(Downloading\|Using cached\) \([^-]*\)-\([^-]*\)-.*(\([0-9.]* MB\)).*/  \1 \2 \3 (\4)/p' \
	-e 's/^Installing collected packages.*/  Unpacking/p' \
	-e '/^ERROR/p'
@if [ "$$(cat $(@D)/.status)" != 0 ]; then \
	echo "The installation failed. The end of pip's output ($(@D)/install.log):" >&2; \
	tail -n 20 $(@D)/install.log >&2; exit 1; \
fi
@touch $@
endef

demo: install ## compress, restore and report on the example photos
	$(BIN)/foveate compress examples/photos --output demo/archive --bpp 0.5 --measure all
	$(BIN)/foveate restore demo/archive --output demo/restored --overwrite
	$(BIN)/foveate report demo/archive --output demo/report.html
	@echo
	@echo "The archive:          demo/archive       (JP2 files; any JPEG 2000 viewer opens them)"
	@echo "Restored photos:      demo/restored"
	@echo "The report:           demo/report.html   (open it in a browser)"

test: install ## run all but the slow tests (ARGS='-k name' picks some)
	$(BIN)/python -m pytest -rfEs $(IN_PARALLEL) -m 'not slow' $(ARGS)

test-slow: install ## run the slow tests: training, killed runs, benchmarks (a quarter of an hour)
	$(BIN)/python -m pytest -rfEs $(IN_PARALLEL) -m slow $(ARGS)

golden: install ## rewrite the digests in tests/golden, after raising the format version
	$(BIN)/python -m tests.golden

test-pythons: ## run all but the slow tests on every supported Python that is installed (a .venv-3.X for each)
	@for version in 3.11 3.12 3.13; do \
		if python$$version -c '' 2>/dev/null; then \
			$(MAKE) PYTHON=python$$version .venv-$$version/.installed && \
			.venv-$$version/bin/python -m pytest -rfEs $(IN_PARALLEL) -m 'not slow' $(ARGS) || exit 1; \
		else echo "python$$version is not installed: skipped"; fi; \
	done

test-tfio: .venv-tfio/.installed ## run the tests in an environment that reads DICOM (needs Python 3.11 or 3.12)
	FOVEATE_REQUIRE_TFIO=1 .venv-tfio/bin/python -m pytest -rfEs $(IN_PARALLEL) $(ARGS)

test-engines: install ## run the pipelines on Prism and Flink (fetches them; needs Go, Java and Maven)
	FOVEATE_ENGINES=1 $(BIN)/python -m pytest -rfEs tests/engines $(ARGS)

wheel: install ## build the wheel into dist
	rm -rf build/lib build/bdist.*
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

dist: wheel ## build the wheel and the source distribution into dist
	$(BIN)/python -c "from setuptools import build_meta; build_meta.build_sdist('dist')" >/dev/null

lint: install ## check style, format and types; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install ## sort imports and format code
	$(BIN)/ruff check --fix-only --select I .
	$(BIN)/ruff format .

check: lint test ## run everything that must pass before a commit

bench: install ## compare all codecs and networks at equal bytes; time, memory (PHOTOS=folder ARGS='--keep cache --cameras build/photos'; hours)
	$(need_photos)$(BIN)/python -m benchmarks $(PHOTOS) $(ARGS)

bench-quick: install ## measure the headline figures on the example photos, beside the published ones (ten minutes)
	$(BIN)/python -m benchmarks.quick $(PHOTOS) $(ARGS)

photos: install ## fetch and make the photos for bench into build/photos (150 MB; apt-get, mvn)
	$(BIN)/python -m benchmarks.photo_set $(or $(PHOTOS),build/photos)

places: install ## fetch the photos labeled for faces and writing into build/places (65 MB; npm, mvn)
	$(BIN)/python -m benchmarks.place_photos $(or $(PHOTOS),build/places)

bench-restoration: install ## the part of bench about RecCNN and ComCNN, and their speed (PHOTOS=folder)
	$(need_photos)$(BIN)/python -m benchmarks $(PHOTOS) --only codecs,favored,gains,serving $(ARGS)

bench-codec: install ## the part of bench that needs no network but MS-ROI: files, time, memory (PHOTOS=folder)
	$(need_photos)$(BIN)/python -m benchmarks $(PHOTOS) --only plain,visual,salient,progressive,lossless,encode $(ARGS)

bench-encode: install ## the part of bench about the encoder, beside OpenJPEG's: time by stage, memory, threads (PHOTOS=folder)
	$(need_photos)$(BIN)/python -m benchmarks $(PHOTOS) --only encode $(ARGS)

bench-saliency: install ## compare MS-ROI with baselines (PHOTOS=folder with images/ and masks/)
	$(need_photos)$(BIN)/python -m benchmarks.saliency $(PHOTOS) $(ARGS)

bench-giant: install ## measure time and memory for 200 megapixels, and whether tiles show (PHOTOS=folder; an hour)
	$(need_photos)$(BIN)/python -m benchmarks.giant $(PHOTOS) $(ARGS)

bench-transcoding: install ## compare transcoding with decoding and re-encoding; transcode 200 varied files (PHOTOS=folder)
	$(need_photos)$(BIN)/python -m benchmarks.transcoding $(PHOTOS) $(ARGS)

bench-parts: install ## measure reading regions and sizes of 100 megapixels: bytes, time, an image server's tiles (PHOTO=file)
	$(BIN)/python -m benchmarks.parts $(or $(PHOTO),examples/photos/lake-jetty.jpg) $(ARGS)

bench-report: install ## measure time, memory and page size of a report on a million generated rows
	$(BIN)/python -m benchmarks.report $(ARGS)

bench-compaction: install ## compact 10,000 nightly tables while a report and a run use them (ARGS='--nights 1000')
	$(BIN)/python -m benchmarks.compaction $(ARGS)

bench-flips: install ## flip 1,000 bits anywhere in an archive; each must be detected (FLIPS=1000)
	FOVEATE_FLIPS=$(or $(FLIPS),1000) $(BIN)/python -m pytest tests/e2e/test_verify.py -k flipped $(ARGS)

bench-durability: install ## measure the cost of syncing each photo to disk (PHOTOS=a folder on that disk)
	$(need_photos)$(BIN)/python -m benchmarks.durability $(PHOTOS) $(ARGS)

bench-kill: install ## kill runs at random moments, complete them, and compare (ARGS='--kills 20')
	$(BIN)/python -m benchmarks.kill $(ARGS)

bench-soak: install ## process 10,000 photos, some bad, with a failing store and kills, and account for all (ARGS='--photos 500')
	$(BIN)/python -m benchmarks.soak $(ARGS)

bench-isolation: install ## measure the cost of decoding in a separate process (PHOTOS=folder)
	$(need_photos)$(BIN)/python -m benchmarks.isolation $(PHOTOS) $(ARGS)

bench-hostile: install ## feed bombs, truncated files, flipped bits and odd names to decoders and runs (ARGS='--flips 10000')
	$(BIN)/python -m benchmarks.hostile $(ARGS)

bench-accounting: install ## check on odd files of every format that each byte is carried, named, or a reason to keep the file
	$(BIN)/python -m benchmarks.accounting $(ARGS)

bench-cloud: install ## measure Beam's overhead, workers, memory, growth, planning, serving (ARGS='growth --share 0.1')
	$(BIN)/python -m benchmarks.scale $(ARGS)

docs: .venv/.docs demo/report.html ## build the documentation website into build/docs, with the demo's report
	$(BIN)/python -m docs.generate
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "The documentation:    build/docs/index.html   (open it in a browser)"

demo/report.html:
	$(MAKE) demo

# Only this target needs what builds the site: a few packages more in .venv.
.venv/.docs: .venv/.installed
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[docs]' </dev/null
	@touch $@

train-restoration: install ## train ComCNN and RecCNN into training/ (PHOTOS=folder; hours)
	$(need_photos)$(BIN)/foveate train restoration --photos $(PHOTOS) --output training/restoration $(ARGS)

lock: ## resolve the constraints again (needs python3.11, python3.12 and python3.13)
	python3.11 .ci/lock.py

hashes: ## record the hashes of the packages in the container (needs python3.12; after every change to constraints.txt)
	python3 .ci/hashes.py

# Strict: what the service does not know has not been audited, and "no known vulnerabilities" would be a false comfort.
audit: .venv-audit/.installed ## check the packages in the container for known vulnerabilities (pip-audit)
	timeout 300 .venv-audit/bin/pip-audit --requirement deploy/requirements.txt --disable-pip --strict \
		--progress-spinner off --timeout 15

.venv-audit/.installed:
	python3 -m venv .venv-audit
	.venv-audit/bin/pip install --quiet 'pip-audit>=2.10,<3'
	@touch $@

clean: ## remove .venv, the demo's output and all caches
	rm -rf .venv .venv-3.* .venv-tfio .venv-audit .engines build demo dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
