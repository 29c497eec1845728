# Lookalong. "make run" needs Go alone; "make test" and "make web" need Node 20 or later too.

export GOTOOLCHAIN ?= local
PROGRAMS := bin/lookalong-signaling bin/lookalong bin/lookalong-customer
LDFLAGS := -s -w
export CGO_ENABLED ?= 0

.PHONY: help build run install web generate test lint test-go test-web test-e2e bench soak bench-profile screenshots fuzz clean $(PROGRAMS)

help: ## this text
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1 \t\2/p' Makefile | expand -t 24

build: $(PROGRAMS) ## the three programs into bin/

bin/lookalong-signaling:
	@go build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./signaling
bin/lookalong:
	@go build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./agent
bin/lookalong-customer:
	@go build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./customer

run: build ## start everything on this machine: http://localhost:8080
	@bin/lookalong-signaling serve --data data $(ARGS)

install: ## the three programs into $(go env GOPATH)/bin
	@mkdir -p "$$(go env GOPATH)/bin"
	@$(MAKE) --no-print-directory build
	@install bin/lookalong-signaling bin/lookalong bin/lookalong-customer "$$(go env GOPATH)/bin"

web: ## rebuild the pages into web/dist
	@scripts/node.sh
	@go run ./web/build

generate: ## what follows from the protocol's table: TypeScript types and docs/protocol.md
	@go run ./protocol/tsgen

test: lint test-web test-go test-e2e ## everything that continuous integration checks

lint:
	@test -z "$$(gofmt -l agent customer e2e internal peer protocol signaling web/*.go web/build)" || { gofmt -l agent customer e2e internal peer protocol signaling web/*.go web/build; echo "run gofmt -w on these files"; exit 1; }
	go vet ./...
	go tool staticcheck ./...
	@scripts/vulncheck.sh

test-web:
	@scripts/node.sh
	cd web && npm run --silent check
	cd web && npm run --silent test

test-go:
	@scripts/node.sh
	@scripts/ffmpeg.sh
	@# The slowest package is begun first: at the end nothing else would run beside it.
	CGO_ENABLED=1 go test -race $$(go list ./signaling/store ./... | grep -v /e2e)

test-e2e:
	@scripts/ffmpeg.sh
	@LOOKALONG_BROWSER=$$(scripts/chromium.sh) && export LOOKALONG_BROWSER && \
	LOOKALONG_FIREFOX=$$(scripts/firefox.sh) && export LOOKALONG_FIREFOX && go test -count=1 -timeout 12m ./e2e/...

# The chat part needs Go alone: make bench BENCH=Chat. So does the native customer's sender: make bench BENCH=Native; NATIVE_CELLS
# picks networks (2Mbit,25ms/1%), NATIVE_SETTINGS pion's settings to compare (ours,pion,…), NATIVE_SECONDS and NATIVE_REPEATS
# how long and how often. The picture part needs Chromium: make bench BENCH=Picture.
# PICTURE_CELLS picks networks (25ms,25ms/1%), PICTURE_SIZES screens (720,1080), PICTURE_SOURCES what is compared
# (ours,AV1,H264,VP9), PICTURE_SECONDS how long each is measured, PICTURE_REPEATS how often, PICTURE_CUTS for how many seconds
# the path is cut afterwards (5 30 100); PICTURE_OUT also writes the figures as JSON.
BENCH ?= .
PICTURE_SIZES ?= 720,1080
PICTURE_SOURCES ?= ours,AV1,H264
PICTURE_SECONDS ?= 10
PICTURE_REPEATS ?= 1
PICTURE_CUTS ?= $(if $(PICTURE_CELLS),,5 30 100)
NATIVE_SETTINGS ?= ours,pion
NATIVE_SECONDS ?= 10
NATIVE_REPEATS ?= 1
bench: ## figures for chat, memory and picture, each beside a reference: BENCH=Chat, BENCH=Native, BENCH=Picture or all
	@case '$(BENCH)' in *Picture*|*Native*) ;; *) \
		go test -count=1 -timeout 20m -run '^$$' -bench '$(BENCH)' -benchtime 1x ./e2e/loadgen || exit 1;; esac
	@case '$(BENCH)' in .|Chat|*Last50*|*Million*) \
		go test -count=1 -timeout 10m -run '^$$' -bench 'Last50|OpenMillion' ./signaling/store || exit 1;; esac
	@case '$(BENCH)' in .|*Native*) \
		go test -count=1 -timeout 60m -run '^$$' -bench Native -benchtime 1x ./customer/share -native.cells '$(NATIVE_CELLS)' \
		-native.settings '$(NATIVE_SETTINGS)' -native.seconds '$(NATIVE_SECONDS)' -native.repeats '$(NATIVE_REPEATS)' || exit 1;; esac
	@case '$(BENCH)' in .|*Picture*) \
		LOOKALONG_BROWSER=$$(scripts/chromium.sh) && export LOOKALONG_BROWSER && \
		go test -count=1 -timeout 180m -run '^$$' -bench '$(BENCH)' -benchtime 1x ./e2e -picture.cells '$(PICTURE_CELLS)' \
		-picture.sizes '$(PICTURE_SIZES)' -picture.sources '$(PICTURE_SOURCES)' -picture.seconds '$(PICTURE_SECONDS)' -picture.repeats '$(PICTURE_REPEATS)' \
		-picture.cuts '$(PICTURE_CUTS)' \
		-picture.out '$(if $(PICTURE_OUT),$(abspath $(PICTURE_OUT)))';; esac

bench-profile: ## where the server's time goes at saturation: bin/saturation.pprof and its first 30 functions
	@mkdir -p bin
	@go test -count=1 -timeout 5m -run '^$$' -bench ChatSaturation -benchtime 1x ./e2e/loadgen -profile $(CURDIR)/bin/saturation.pprof
	@go tool pprof -top -cum -nodecount 30 -hide '^(runtime|sync|syscall|internal|database/sql|net/http|golang.org/x/sync)[./]' bin/saturation.pprof

screenshots: ## the pictures in docs/, from the real programs
	@LOOKALONG_BROWSER=$$(scripts/chromium.sh) && export LOOKALONG_BROWSER && go test -tags pictures -count=1 -run TestPictures ./e2e

soak: ## long runs of the failure tests; LOOKALONG_SEED repeats one, LOOKALONG_ROUNDS sets how many
	LOOKALONG_SOAK=1 go test -count=1 -v -timeout 30m -run Linear ./signaling/store
	LOOKALONG_SOAK=1 go test -count=1 -v -timeout 60m -run Fault ./internal/fault
	@LOOKALONG_BROWSER=$$(scripts/chromium.sh) && export LOOKALONG_BROWSER && LOOKALONG_SOAK=1 go test -count=1 -v -timeout 180m -run 'Fault|SoakPicture' ./e2e

FUZZTIME ?= 30s
fuzz: ## every fuzz target for FUZZTIME each
	@for t in $$(grep -rl --include=*_test.go '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
		for f in $$(grep -ho '^func Fuzz[A-Za-z0-9]*' $$t/*_test.go | sed 's/func //'); do \
			echo "$$t $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$t || exit 1; \
		done; done

clean: ## remove what was built; data/ stays
	rm -rf bin web/node_modules web/test/out
