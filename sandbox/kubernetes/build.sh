# Builds Kubernetes in a Debian 12 chroot that has Go: /out holds the programs. Lines beginning with "I: " are
# shown as progress. The programs are static, so that any distribution runs them.
set -e
export HOME=/build GOPATH=/build GO111MODULE=off CGO_ENABLED=0 PATH=/usr/lib/go-1.19/bin:$PATH
export GOGC=400  # the compiler collects its garbage less often
kubernetes=k8s.io/kubernetes
source=$GOPATH/src/$kubernetes

say() { echo "I: $*" >&2; }

say "downloading the source"
sed -n 's/^deb /deb-src /p' /etc/apt/sources.list >/etc/apt/sources.list.d/sources.list
mkdir -p "$source"
cd /build
apt-get -qq -o APT::Sandbox::User=root update
apt-get -qq -o APT::Sandbox::User=root source --download-only kubernetes
tar -C "$source" --strip-components=1 -xf kubernetes_*.orig.tar.gz
version=$(ls kubernetes_*.dsc | sed 's/.*really\([0-9.]*\).*/\1/')

# The vendored reflect2 calls into Go's runtime as it was before 1.18; with 1.19 the API server would die of the
# first object of a custom type. Not needed any more with a Kubernetes that vendors reflect2 1.0.2.
reflect2=$source/vendor/github.com/modern-go/reflect2
sed -i 's/^\(func mapiterinit(.*\)) \*hiter$/\1, it *hiter)/
  s/rest fields are ignored/the rest as Go 1.19 has it/
  /the rest as Go/a t, h, buckets, bptr, overflow, oldoverflow unsafe.Pointer; startBucket uintptr; offset uint8;\
    wrapped bool; b, i uint8; bucket, checkBucket uintptr' "$reflect2/unsafe_link.go"
sed -i 's/mapiterinit(type2/newHiter(type2/' "$reflect2/unsafe_map.go"
cat >>"$reflect2/unsafe_map.go" <<'END'

func newHiter(rtype unsafe.Pointer, m unsafe.Pointer) *hiter {
	it := &hiter{}
	mapiterinit(rtype, m, it)
	return it
}
END

# Without the definitions of its API the API server does not compile; the archive has the generator only.
say "generating the API's definitions"
cd "$source"
packages=$(
  grep -rlE '^// \+k8s:openapi-gen=' --include='*.go' staging/src pkg cmd plugin | xargs dirname | sort -u |
    sed -e "s#^staging/src/#vendor/#" -e "s#^#$kubernetes/#" | paste -sd,
)
go build -o /build/openapi-gen ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
/build/openapi-gen --input-dirs "$packages" --output-base "$GOPATH/src" --go-header-file /dev/null \
  --output-package $kubernetes/pkg/generated/openapi --output-file-base zz_generated.openapi \
  --report-filename /dev/null

say "compiling $version: some four minutes"
stamps=
for package in component-base/version client-go/pkg/version; do
  stamp="-X $kubernetes/vendor/k8s.io/$package"
  stamps="$stamps $stamp.gitVersion=v$version $stamp.gitMajor=${version%%.*} $stamp.gitMinor=$(echo "$version" | cut -d. -f2)"
done
# Without the clouds' and Docker's clients, which nothing here uses, a fifth less is compiled.
go build -o /out/ -trimpath -tags providerless,dockerless -ldflags "-s -w $stamps" ./cmd/kube-apiserver \
  ./cmd/kube-controller-manager ./cmd/kube-scheduler ./cmd/kubelet ./cmd/kube-proxy
mv /usr/bin/kubectl /out/  # of the same version, and static too; Debian has no package of the others
