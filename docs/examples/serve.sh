#!/bin/sh
# Serves a model folder only if it holds exactly the weights that a signed verdict let pass.
# MODEL_DIR and EVIDENCE are mounted read-only, here and for nobody else otherwise.
set -eu

llmgate verify "$MODEL_DIR" \
  --verdict "$EVIDENCE/verdict.dsse.json" \
  --policy "$EVIDENCE/policy.yaml" \
  --model "$MODEL_NAME" \
  --alias champion

exec vllm serve "$MODEL_DIR" --served-model-name "$MODEL_NAME" --port 8000
