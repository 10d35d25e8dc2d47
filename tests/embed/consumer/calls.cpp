// Calls through the C++ header: a spec of one's own, packed sequences, steps, strides, grouped
// heads, nothing at all; threads and forks.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <lathe/lathe.hpp>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace {

using Numbers = std::vector<float>;

int failures = 0;

#define EXPECT(condition) expect(condition, #condition, __LINE__)

void expect(bool isTrue, const char* what, int line) {
  if (isTrue)
    return;
  std::printf("line %d: %s\n", line, what);
  ++failures;
}

template <typename Body> std::string errorOf(const Body& body) {
  try {
    body();
  } catch (const lathe::Error& error) {
    return error.what();
  }
  return "no error";
}

void expectText(const std::string& found, const std::string& wanted, int line) {
  if (found == wanted)
    return;
  std::printf("line %d: %s\nwanted: %s\n", line, found.c_str(), wanted.c_str());
  ++failures;
}

#define EXPECT_TEXT(found, wanted) expectText(found, wanted, __LINE__)

Numbers draw(std::size_t count, unsigned seed) {
  Numbers numbers(count);
  for (float& number : numbers) {
    seed = seed * 1664525u + 1013904223u;
    number = static_cast<float>((seed >> 8) / 8388608.0 - 1);
  }
  return numbers;
}

double distance(const Numbers& a, const Numbers& b) {
  double worst = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i)
    worst = std::fmax(worst, std::isnan(a[i]) ? 1 : std::fabs(a[i] - b[i]));
  return worst;
}

const char* const spec = R"(variant decay(K, V) {
  input  q[K], k[K], v[V], g in log
  param  w
  const  scale = 2
  state  S[K, V]
  S <- exp(g) * S + w * k * v
  output o[V] = scale * (q @ S)
}
)";

constexpr std::int64_t T = 9, H = 2, K = 4, V = 6;

/// A call of `decay`, and the same in a loop.
struct Decay {
  Numbers q = draw(T * H * K, 1), k = draw(T * H * K, 2), v = draw(T * H * V, 3),
          g = draw(T * H, 4), w = draw(H, 5), S = draw(H * K * V, 6), o = Numbers(T * H * V, NAN),
          end = Numbers(H * K * V, NAN);

  void bind(lathe::Call& call, std::int64_t from = 0, std::int64_t tokens = T) {
    call.set("q", {&q[from * H * K], {1, tokens, H, K}});
    call.set("k", {&k[from * H * K], {1, tokens, H, K}});
    call.set("v", {&v[from * H * V], {1, tokens, H, V}});
    call.set("g", {&g[from * H], {1, tokens, H}});
    call.set("w", {w.data(), {H}});
    call.set("o", {&o[from * H * V], {1, tokens, H, V}});
    call.set("initial S", {S.data(), {1, H, K, V}});
    call.set("final S", {end.data(), {1, H, K, V}});
  }

  /// What `o` and `end` must be. States start anew, from zero, at token `restart`.
  void loop(double scale, std::int64_t restart = -1) {
    end = S;
    for (std::int64_t t = 0; t < T; ++t)
      for (std::int64_t h = 0; h < H; ++h)
        for (std::int64_t c = 0; c < V; ++c) {
          double sum = 0;
          for (std::int64_t i = 0; i < K; ++i) {
            float& own = end[(h * K + i) * V + c];
            own = (t == restart ? 0 : std::exp(g[t * H + h]) * own) +
                  w[h] * k[(t * H + h) * K + i] * v[(t * H + h) * V + c];
            sum += scale * q[(t * H + h) * K + i] * own;
          }
          o[(t * H + h) * V + c] = static_cast<float>(sum);
        }
  }
};

const lathe::Options options = {"K=4,V=6", "f32", LATHE_FORWARD, {kDLCPU, 0}, 0, 0, 0};

void runsItsOwnSpec() {
  const lathe::Kernel kernel(lathe::Variant::compile(spec), options);
  Decay right, found;
  right.loop(2);
  lathe::Call call(kernel);
  found.bind(call);
  EXPECT(kernel.workspaceBytes(call) == 0);
  kernel.launch(call);
  EXPECT(distance(found.o, right.o) < 1e-5 && distance(found.end, right.end) < 1e-5);

  right.loop(-3);
  call.constants = {-3};
  call.threads = 1;
  kernel.launch(call);
  EXPECT(distance(found.o, right.o) < 1e-5);

  EXPECT_TEXT(errorOf([&] { call.set("p", {}); }),
              "there is no tensor 'p'; the kernel takes q, k, v, g, w, o, initial S, final S");
  EXPECT_TEXT(errorOf([&] { lathe::Tensor(found.o.data(), lathe::f32, {1, 2}, {1}); }),
              "a tensor of 2 axes was given 1 strides");
}

void stepsInPlace() {
  lathe::Options step = options;
  step.pass = LATHE_STEP;
  const lathe::Kernel kernel(lathe::Variant::compile(spec), step);
  Decay right, found;
  right.loop(2);
  lathe::Call call(kernel);
  for (std::int64_t t = 0; t < T; ++t) {
    found.bind(call, t, 1);
    call.set("final S", {found.S.data(), {1, H, K, V}});
    kernel.launch(call);
  }
  EXPECT(distance(found.o, right.o) < 1e-5 && distance(found.S, right.end) < 1e-5);
}

void packsSequences() {
  const lathe::Kernel kernel(lathe::Variant::compile(spec), options);
  Decay right, found;
  right.loop(2, 5);
  Numbers states(3 * H * K * V, 0), ends(3 * H * K * V, NAN);
  std::copy(found.S.begin(), found.S.end(), states.begin());
  std::vector<std::int64_t> starts = {0, 5, 5, T};
  lathe::Call call(kernel);
  found.bind(call);
  call.cuSeqlens = {starts.data(), {4}};
  call.set("initial S", {states.data(), {3, H, K, V}}).set("final S", {ends.data(), {3, H, K, V}});
  kernel.launch(call);
  EXPECT(distance(found.o, right.o) < 1e-5);
  EXPECT(distance(Numbers(ends.begin() + 2 * H * K * V, ends.end()), right.end) < 1e-5);
  EXPECT(distance(Numbers(ends.begin() + H * K * V, ends.begin() + 2 * H * K * V),
                  Numbers(H * K * V, 0)) == 0);
  starts[1] = 12;
  EXPECT_TEXT(errorOf([&] { kernel.launch(call); }),
              "variant decay: cu_seqlens [0, 12, 5, 9] must begin with 0, never fall, and end with "
              "the number of tokens, 9");
}

/// Inputs [B,H,T,D] in memory, and one that both heads share.
void takesStridesAndGroups() {
  const lathe::Kernel kernel(lathe::Variant::compile(spec), options);
  Decay right, found;
  Numbers turned(T * H * V), shared(T * K);
  for (std::int64_t t = 0; t < T; ++t) {
    for (std::int64_t i = 0; i < H * V; ++i)
      turned[(i / V * T + t) * V + i % V] = right.v[t * H * V + i];
    for (std::int64_t i = 0; i < H * K; ++i)
      right.q[t * H * K + i] = shared[t * K + i % K] = right.q[t * H * K + i % K];
  }
  right.loop(2);
  lathe::Call call(kernel);
  found.bind(call);
  call.set("v", {turned.data(), lathe::f32, {1, T, H, V}, {T * H * V, V, T * V, 1}});
  call.set("q", {shared.data(), {1, T, 1, K}});
  kernel.launch(call);
  EXPECT(distance(found.o, right.o) < 1e-5 && distance(found.end, right.end) < 1e-5);
}

void takesNothing() {
  lathe::Options backward = options;
  backward.pass = LATHE_BACKWARD;
  const lathe::Variant variant = lathe::Variant::compile(spec);
  const lathe::Kernel kernel(variant, options), gradient(variant, backward);
  Decay own;
  for (const auto& [batch, tokens] : {std::pair(0, T), std::pair(1, std::int64_t(0))}) {
    lathe::Call call(kernel);
    own.bind(call);
    for (const char* name : {"q", "k"})
      call.set(name, {static_cast<float*>(nullptr), {batch, tokens, H, K}});
    for (const char* name : {"v", "o"})
      call.set(name, {static_cast<float*>(nullptr), {batch, tokens, H, V}});
    call.set("g", {static_cast<float*>(nullptr), {batch, tokens, H}});
    for (const char* name : {"initial S", "final S"})
      call.set(name, {name[0] == 'i' ? own.S.data() : own.end.data(), {batch, H, K, V}});
    kernel.launch(call);
    EXPECT(batch == 0 ? std::isnan(own.end[0]) : distance(own.end, own.S) == 0);
    Numbers dw(H, NAN), dScale(1, NAN);
    lathe::Call back(gradient);
    for (const char* name : {"q", "k"})
      back.set(name, {static_cast<float*>(nullptr), {batch, tokens, H, K}});
    back.set("v", {static_cast<float*>(nullptr), {batch, tokens, H, V}});
    back.set("g", {static_cast<float*>(nullptr), {batch, tokens, H}});
    back.set("w", {own.w.data(), {H}});
    back.set("d.w", {dw.data(), {H}}).set("d.scale", {dScale.data(), {}});
    gradient.launch(back);
    EXPECT(distance(dw, Numbers(H, 0)) == 0 && dScale[0] == 0);
  }
}

void gradientsHaveTheShapeOfTheirInput() {
  lathe::Options backward = options;
  backward.pass = LATHE_BACKWARD;
  const lathe::Kernel kernel(lathe::Variant::compile(spec), backward);
  Decay own;
  Numbers dq(T * H * K, NAN), dw(H, NAN), dScale(1, NAN), wide = dq;
  lathe::Call call(kernel);
  call.set("q",
           {
               own.q.data(),
               {1, T, 1, K},
           })
      .set("k", {own.k.data(), {1, T, H, K}});
  call.set("v", {own.v.data(), {1, T, H, V}}).set("g", {own.g.data(), {1, T, H}});
  call.set("w", {own.w.data(), {H}}).set("d.o", {own.v.data(), {1, T, H, V}});
  call.set("d.q", {dq.data(), {1, T, H, K}});
  EXPECT_TEXT(errorOf([&] { kernel.launch(call); }),
              "argument 'd.q' has shape [1, 9, 2, 4]; it must have that of 'q', [1, 9, 1, 4]");
  call.set("d.q", {dq.data(), {1, T, 1, K}}).set("d.w", {dw.data(), {H}});
  call.set("d.scale", {dScale.data(), {}});
  kernel.launch(call);
  // The output is linear in scale, and in w where the state starts from zero.
  EXPECT(!std::isnan(dq[T * K - 1]) && std::isnan(dq[T * K]));
  EXPECT(std::fabs(own.w[0] * dw[0] + own.w[1] * dw[1] - 2 * dScale[0]) < 1e-4);
}

void sharesKernels() {
  const lathe::Kernel one(lathe::Variant::load("gla"), {"K=16,V=16"});
  const lathe::Kernel two(lathe::Variant::load("gla"), {"V=16 K=16", "f32"});
  EXPECT(one.json() == two.json() && one.get() != two.get());
}

void threads() {
  Decay right;
  right.loop(2);
  std::vector<std::thread> all;
  std::vector<int> wrong(4, 1);
  const lathe::Kernel shared(lathe::Variant::compile(spec), options);
  for (int i = 0; i < 4; ++i)
    all.emplace_back([&, i] {
      Decay found;
      const std::string own = std::string(spec) + (i % 2 ? "# another\n" : "");
      const lathe::Kernel kernel(lathe::Variant::compile(own), options);
      for (int n = 0; n < 20; ++n) {
        const lathe::Kernel& used = n % 2 ? kernel : shared;
        lathe::Call call(used);
        found.bind(call);
        used.launch(call);
        const std::string text = "there is no tensor '" + std::to_string(i);
        EXPECT(lathe_load(text.c_str(), nullptr) == LATHE_ERROR_ARGUMENT);
        EXPECT(std::string(lathe_last_error()) == "variant is null");
      }
      wrong[i] = distance(found.o, right.o) < 1e-5 ? 0 : 1;
    });
  for (std::thread& thread : all)
    thread.join();
  EXPECT(wrong == std::vector<int>(4, 0));
}

/// The child has none of the threads that computed in its parent.
void forks() {
  const lathe::Kernel before(lathe::Variant::compile(spec), options);
  std::fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    Decay right, found;
    right.loop(2);
    lathe::Call call(before);
    found.bind(call);
    before.launch(call);
    EXPECT(distance(found.o, right.o) < 1e-5);
    runsItsOwnSpec();
    threads();
    std::fflush(stdout);
    std::exit(failures);
  }
  int status = -1;
  EXPECT(waitpid(child, &status, 0) == child && status == 0);
}

}  // namespace

int main() {
  runsItsOwnSpec();
  stepsInPlace();
  packsSequences();
  takesStridesAndGroups();
  takesNothing();
  gradientsHaveTheShapeOfTheirInput();
  sharesKernels();
  threads();
  forks();
  std::printf("calls: %s\n", failures ? "FAILED" : "passed");
  return failures ? 1 : 0;
}
