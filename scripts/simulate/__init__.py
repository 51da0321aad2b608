"""A week of the house in virtual time: real handlers and SQL, an invented town, a picture, a judgement."""
