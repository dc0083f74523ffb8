"""An encoder of tool configurations into vectors that a frozen LLM reads."""
