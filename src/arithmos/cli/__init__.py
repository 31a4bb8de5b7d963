"""The command line: one file a verb, lazily loaded; errors are caught and exit codes set in main.py alone."""
