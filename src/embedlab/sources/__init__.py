"""Where raw data comes from: installed libraries, Hugging Face datasets, BEIR sets, local files."""
