"""How the parts are put together. Beside main.py the only place that names concrete classes."""
