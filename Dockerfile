# alexrep with its libraries: CPU and GPU by docs/container.md.
FROM python:3.13-slim

# Where pip gets PyTorch from. Empty: from where it gets all else, which on x86-64 has CUDA's
# libraries with it (some gigabytes), and computes without a GPU as well. PyTorch's own page names
# the address of the builds for CPUs alone, and of those for other versions of CUDA.
ARG TORCH_INDEX=
ARG USER_ID=1000

# Named volumes take over the owner of these two.
RUN useradd --uid "$USER_ID" --create-home alexrep \
    && mkdir /data /runs \
    && chown alexrep /data /runs

WORKDIR /opt/alexrep
COPY pyproject.toml constraints.txt README.md LICENSE ./

# First and by itself: it stays as it is when the code changes.
RUN pip install --no-cache-dir --constraint constraints.txt \
    ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch torchvision

COPY alexrep alexrep
COPY stages stages
COPY plots plots
RUN pip install --no-cache-dir --constraint constraints.txt .

# matplotlib keeps what it knows of fonts; the user may be any number.
ENV MPLCONFIGDIR=/tmp/matplotlib
USER $USER_ID
WORKDIR /runs
VOLUME ["/data", "/runs"]
EXPOSE 6006

ENTRYPOINT ["alexrep"]
CMD ["demo", "/runs/demo"]
