"""What type checkers see of the package.

mypy and pyright check these modules, and nothing runs them. `assert_type` says what a caller gets, and `type: ignore`
stands where a mistake must be found (one that is unused is an error).
"""
