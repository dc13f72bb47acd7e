#!/bin/sh
# Builds .venv from the locks. Needs no root and touches nothing outside .venv.
#
# Two parts: "base" is everything that HiGHS can solve, from wheels; "nonlinear" is Ipopt (cyipopt) and the derivatives
# (PyNumero's ASL library), compiled here. Set-up succeeds without the second and says what is missing. What is done is not
# done again until a lock, this script or the folder changes. A missing nonlinear part is tried again by every call,
# except with --once: `make run` and `make test` do not wait each time for a network or a compiler that is not there.
set -eu
cd "$(dirname "$0")/.."
venv=$PWD/.venv
base_stamp=$venv/base.stamp nonlinear_stamp=$venv/nonlinear.stamp
missing=$venv/nonlinear.missing log=$venv/nonlinear.log
asl_library=$venv/pyomo/lib/libpynumero_ASL.so
compiler="as root apt-get install g++ pkg-config python3-dev, then make setup"
# The folder belongs to the key because a venv and the paths linked into cyipopt do not survive a move.
key=$(cat requirements.lock requirements-nonlinear.lock tools/setup.sh | cksum)\ $PWD

done_already() { [ -x "$venv/bin/python" ] && [ "$(cat "$1" 2>/dev/null)" = "$key" ]; }
fail() { echo "setup: $*" >&2; exit 1; }
pip() { "$venv/bin/python" -m pip --disable-pip-version-check --no-input -q "$@"; }

base() {
  python=
  for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$candidate; break; fi
  done
  [ -n "$python" ] || fail "Python 3.11 or newer is needed (Debian: apt-get install python3 python3-venv python3-dev)."
  echo "setup: installing into .venv, about a minute"
  "$python" -m venv --clear "$venv" || fail "the virtual environment could not be made (Debian: apt-get install python3-venv)."
  # --no-compile: Python compiles what is imported when it is imported, which is little of it
  pip install --no-compile --require-hashes -r requirements.lock || fail "pip could not install requirements.lock."
  # Read at every start of this Python, activated or not, with or without a home directory: where Pyomo looks for the ASL
  # library, and matplotlib for its settings. Nobody's personal settings change a result or a figure.
  printf '%s\n' "import os, sys; os.environ['PYOMO_CONFIG_DIR'] = os.path.join(sys.prefix, 'pyomo')" \
    "import os, sys; os.environ['MPLCONFIGDIR'] = os.path.join(sys.prefix, 'matplotlib')" \
    >"$(site_packages)/flexmarkets_folders.pth"
  mkdir -p "$venv/matplotlib"
  printf '%s\n' "$key" >"$base_stamp"
}

site_packages() { "$venv/bin/python" -c "import sysconfig; print(sysconfig.get_path('platlib'))"; }

# Leaves the header files and the static ASL library below .venv/asl, from Debian's package, or finds them installed.
fetch_asl() {
  [ ! -e /usr/include/ampl-netlib-solvers/asl_pfgh.h ] || return 0
  rm -rf "$venv/asl" && mkdir -p "$venv/asl" && cd "$venv/asl" || return 1
  apt-get -o APT::Sandbox::User=root download libamplsolver-dev || {
    # The system's package lists are absent or old, and only root may renew them: use lists of our own for once.
    mkdir -p state/lists/partial cache/archives/partial
    set -- -o APT::Sandbox::User=root -o "Dir::State=$PWD/state" -o "Dir::Cache=$PWD/cache" -o Acquire::Languages=none
    apt-get "$@" update && apt-get "$@" download libamplsolver-dev || return 1
    rm -rf state cache
  }
  for package in *.deb; do dpkg-deb -x "$package" . || return 1; done
}

build_asl() {
  [ ! -e "$asl_library" ] || return 0
  fetch_asl || return 1
  if [ -d "$venv/asl/usr" ]; then root=$venv/asl/usr; else root=/usr; fi
  source=$(site_packages)/pyomo/contrib/pynumero/src
  mkdir -p "$venv/pyomo/lib"
  g++ -O2 -fPIC -shared -DBUILDING_PYNUMERO_ASL -I"$root/include/ampl-netlib-solvers" -I"$source" "$source/AmplInterface.cpp" \
    -o "$asl_library" "$(find "$root/lib" -name libamplsolver.a | head -n 1)" -ldl -lm
}

build_cyipopt() {
  casadi=$(site_packages)/casadi
  [ ! -d "$casadi/../cyipopt" ] || return 0
  # The wheel's own ipopt.pc names a folder of the machine that built it. With PKG_CONFIG_LIBDIR, pkg-config sees this file alone:
  # headers of one Ipopt and library of another build without complaint and crash at the first solve.
  mkdir -p "$venv/pkgconfig"
  printf '%s\n' "Name: Ipopt" "Description: from the casadi wheel" "Version: 3.14" \
    "Cflags: -I$casadi/include/coin-or" "Libs: -L$casadi -lipopt" >"$venv/pkgconfig/ipopt.pc"
  # --no-cache-dir: pip would reuse a wheel built elsewhere on this machine against another Ipopt.
  # --no-build-isolation: built with the hashed cython and setuptools of the lock, not with today's newest.
  PKG_CONFIG_PATH='' PKG_CONFIG_LIBDIR="$venv/pkgconfig" CFLAGS='' LDFLAGS="-Wl,-rpath,$casadi" \
    pip install --no-compile --no-deps --no-cache-dir --no-build-isolation --no-binary cyipopt \
    --require-hashes -r requirements-nonlinear.lock
}

# One sentence: what nonlinear markets lack here, and how to get it.
give_up() {
  echo "Without nonlinear markets (everything that HiGHS solves works): $1." >"$missing"
  printf '%s missing\n' "$key" >"$nonlinear_stamp"
  echo "setup: $(cat "$missing")" >&2
  exit 0
}

check_tools() {
  for tool in g++ pkg-config; do
    command -v "$tool" >/dev/null || give_up "$tool is not installed; $compiler"
  done
  case $PWD in
    *[[:space:]]*) give_up "cyipopt cannot be compiled in a folder whose path has a space; move the folder, then make setup" ;;
  esac
}

if [ "${1:-}" = --once ] && done_already "$base_stamp" && [ "$(cat "$nonlinear_stamp" 2>/dev/null)" = "$key missing" ]; then
  echo "setup: $(cat "$missing")" >&2
  exit 0
fi
done_already "$base_stamp" || base
done_already "$nonlinear_stamp" && exit 0

check_tools
echo "setup: compiling Ipopt's interface and the ASL library"
: >"$log"
build_asl >"$log.asl" 2>&1 & # beside cyipopt, which takes longer
asl=$!
cyipopt_works=yes asl_works=yes
build_cyipopt >"$log" 2>&1 || cyipopt_works=no
wait "$asl" || asl_works=no
cat "$log.asl" >>"$log"; rm -f "$log.asl"
[ $cyipopt_works = yes ] || give_up "cyipopt could not be compiled (see .venv/nonlinear.log); $compiler"
[ $asl_works = yes ] ||
  give_up "the ASL library could not be had (see .venv/nonlinear.log); as root apt-get install libamplsolver-dev, then make setup"
"$venv/bin/python" -m equilibrium.doctor --nonlinear >>"$log" 2>&1 || {
  # Better absent than wrong; the next call builds them anew.
  pip uninstall -y cyipopt >>"$log" 2>&1 || true
  rm -f "$asl_library"
  give_up "Ipopt or the ASL library does not work (see .venv/nonlinear.log); make setup tries again, or take environment.yml"
}
rm -f "$missing"
printf '%s\n' "$key" >"$nonlinear_stamp"
