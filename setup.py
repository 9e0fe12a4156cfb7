"""What of the build setup.cfg cannot say: what is compiled."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "recsvc.recommender.kernels.compiled",
            ["recsvc/recommender/kernels/compiled.pyx"],
            extra_compile_args=["-O3", "-g0"],
            # Where nothing can be compiled, NumPy does the same.
            optional=True,
        )
    ]
)
