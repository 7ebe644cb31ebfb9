"""Tests; shared parts are in conftest.py."""
