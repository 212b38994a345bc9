"""The screens in a real browser, before a real web server and real queue clusters."""
