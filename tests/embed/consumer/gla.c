/* Gated linear attention and its gradient against loops in double precision. */
#include "expect.h"

enum { B = 2, T = 7, H = 3, K = 8, V = 5, most = B * T * H * K };

typedef struct Numbers {
  float q[most], k[most], g[most], v[B * T * H * V], o[B * T * H * V];
  float initial[B * H * K * V], final[B * H * K * V];
} Numbers;

static Numbers at, d; /* The call, and gradients: of the loss by each of them. */
static double S[T + 1][K][V];
static const double scale = 0.35355339059327373; /* 1 / sqrt(8) */

static double worst = 0;

static void compare(float found, double expected) {
  const double off = fabs(found - expected) / (1 + fabs(expected));
  if (!(off <= worst)) /* NaN too. */
    worst = isnan(off) ? 1 : off;
}

static float draw(void) {
  static unsigned state = 1;
  state = state * 1664525u + 1013904223u;
  return (float)((state >> 8) / 8388608.0 - 1);
}

static size_t row(int b, int t, int h) { return ((size_t)b * T + (size_t)t) * H + (size_t)h; }

/* States of one head, and its outputs. */
static void forward(int b, int h, int isCompared) {
  const float* S0 = at.initial + (b * H + h) * K * V;
  for (int i = 0; i < K * V; ++i)
    S[0][i / V][i % V] = S0[i];
  for (int t = 0; t < T; ++t) {
    const size_t r = row(b, t, h);
    for (int i = 0; i < K * V; ++i)
      S[t + 1][i / V][i % V] =
          exp(at.g[r * K + i / V]) * S[t][i / V][i % V] + at.k[r * K + i / V] * at.v[r * V + i % V];
    for (int c = 0; c < V && isCompared; ++c) {
      double o = 0;
      for (int i = 0; i < K; ++i)
        o += scale * at.q[r * K + i] * S[t + 1][i][c];
      compare(at.o[r * V + c], o);
    }
  }
  for (int i = 0; i < K * V && isCompared; ++i)
    compare(at.final[(b * H + h) * K * V + i], S[T][i / V][i % V]);
}

/* P is the gradient of the loss by the state. */
static void backward(int b, int h) {
  static double P[K][V];
  for (int i = 0; i < K * V; ++i)
    P[i / V][i % V] = d.final[(b * H + h) * K * V + i];
  for (int t = T - 1; t >= 0; --t) {
    const size_t r = row(b, t, h);
    for (int c = 0; c < V; ++c) {
      double dv = 0;
      for (int i = 0; i < K; ++i) {
        P[i][c] += scale * at.q[r * K + i] * d.o[r * V + c];
        dv += P[i][c] * at.k[r * K + i];
      }
      compare(d.v[r * V + c], dv);
    }
    for (int i = 0; i < K; ++i) {
      double dq = 0, dk = 0, dg = 0;
      for (int c = 0; c < V; ++c) {
        dq += scale * S[t + 1][i][c] * d.o[r * V + c];
        dk += P[i][c] * at.v[r * V + c];
        P[i][c] *= exp(at.g[r * K + i]);
        dg += P[i][c] * S[t][i][c];
      }
      compare(d.q[r * K + i], dq);
      compare(d.k[r * K + i], dk);
      compare(d.g[r * K + i], dg);
    }
  }
  for (int i = 0; i < K * V; ++i)
    compare(d.initial[(b * H + h) * K * V + i], P[i / V][i % V]);
}

static void launch(const lathe_kernel* kernel, Numbers* x, Numbers* dx) {
  static int64_t keys[] = {B, T, H, K}, values[] = {B, T, H, V}, states[] = {B, H, K, V};
  DLTensor own[] = {tensorOf(x->q, 4, keys),          tensorOf(x->k, 4, keys),
                    tensorOf(x->v, 4, values),        tensorOf(x->g, 4, keys),
                    tensorOf(x->o, 4, values),        tensorOf(x->initial, 4, states),
                    tensorOf(x->final, 4, states),    tensorOf(dx->q, 4, keys),
                    tensorOf(dx->k, 4, keys),         tensorOf(dx->v, 4, values),
                    tensorOf(dx->g, 4, keys),         tensorOf(dx->o, 4, values),
                    tensorOf(dx->initial, 4, states), tensorOf(dx->final, 4, states)};
  const char* names[] = {"q",   "k",   "v",   "g",   "o",   "initial S",   "final S",
                         "d.q", "d.k", "d.v", "d.g", "d.o", "d.initial S", "d.final S"};
  const DLTensor* tensors[16] = {0};
  lathe_call call = LATHE_CALL_INIT;
  call.tensors = tensors;
  call.tensor_count = countOf(kernel);
  for (size_t i = 0; i < call.tensor_count; ++i)
    for (size_t n = 0; n < sizeof names / sizeof *names; ++n)
      if (strcmp(lathe_tensor_name(kernel, i), names[n]) == 0)
        tensors[i] = &own[n];
  size_t bytes = 1;
  EXPECT(lathe_workspace(kernel, &call, &bytes) == LATHE_OK && bytes == 0);
  EXPECT(lathe_launch(kernel, &call, NULL) == LATHE_OK);
}

static void fill(float* numbers, size_t count, float factor) {
  for (size_t i = 0; i < count; ++i)
    numbers[i] = factor * draw();
}

int main(void) {
  EXPECT(lathe_abi_version() == LATHE_ABI_VERSION);
  EXPECT(strcmp(lathe_version(), LATHE_EXPECTED_VERSION) == 0);
  EXPECT(strcmp(lathe_last_error(), "") == 0);
  memset(&at, 0xff, sizeof at); /* NaN */
  memset(&d, 0xff, sizeof d);
  fill(at.q, most, 1);
  fill(at.k, most, 1);
  fill(at.v, B * T * H * V, 1);
  for (size_t i = 0; i < most; ++i)
    at.g[i] = -2 * (1 + draw());
  fill(at.initial, B * H * K * V, 1);
  fill(d.o, B * T * H * V, 1);
  fill(d.final, B * H * K * V, 1);
  lathe_kernel* kernel = prepare("gla", LATHE_FORWARD, "K=8,V=5");
  lathe_kernel* gradient = prepare("gla", LATHE_BACKWARD, "K=8,V=5");
  launch(kernel, &at, &d);
  launch(gradient, &at, &d);
  for (int b = 0; b < B; ++b)
    for (int h = 0; h < H; ++h) {
      forward(b, h, 1);
      backward(b, h);
    }
  EXPECT(worst < 1e-5);
  printf("gla: within %.1e of the loops\n", worst);

  static Numbers again, dAgain;
  again = at;
  dAgain = d;
  launch(kernel, &again, &dAgain);
  launch(gradient, &again, &dAgain);
  EXPECT(memcmp(&again, &at, sizeof at) == 0 && memcmp(&dAgain, &d, sizeof d) == 0);
  lathe_kernel_free(kernel);
  lathe_kernel_free(gradient);
  return finish("gla");
}
