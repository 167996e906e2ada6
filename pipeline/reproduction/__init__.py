"""The papers' protocols as one command, their printed figures beside ours."""
