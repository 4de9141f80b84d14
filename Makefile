.PHONY: up test down check docs demo
up: ; @scripts/install && .venv/bin/mlops up
test: ; @scripts/install && scripts/test
down: ; @scripts/install && .venv/bin/mlops down
check: ; @scripts/install && scripts/check
docs: ; @scripts/install && scripts/docs
demo: ; @scripts/install && .venv/bin/cabc demo
