"""The platform's program: the order form of the selected stack says what is deployed."""

from components._core import platform

platform.deploy()
