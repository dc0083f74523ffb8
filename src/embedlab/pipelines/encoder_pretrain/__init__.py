"""A resource encoder, pre-trained until a frozen LLM reads configurations from its vectors."""
