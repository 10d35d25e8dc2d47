/* What can be wrong before there is a tensor, and its text. */
#include "expect.h"

static const char* spec = "variant decay(K, V) {\n"
                          "  input  q[K], k[K], v[V], g in log\n"
                          "  state  S[K, V]\n"
                          "  S <- exp(g) * S + k * v\n"
                          "  output o[V] = q @ S\n"
                          "}\n";

static void variants(void) {
  lathe_variant* variant = (lathe_variant*)&failures;
  EXPECT_ERROR(lathe_compile(NULL, NULL, NULL, &variant), LATHE_ERROR_ARGUMENT, "text is null");
  EXPECT(variant == NULL);
  EXPECT_ERROR(lathe_compile(spec, NULL, NULL, NULL), LATHE_ERROR_ARGUMENT, "variant is null");
  EXPECT_ERROR(lathe_load(NULL, &variant), LATHE_ERROR_ARGUMENT, "name is null");
  EXPECT_ERROR(lathe_load("gla", NULL), LATHE_ERROR_ARGUMENT, "variant is null");
  EXPECT(lathe_load("nope", &variant) == LATHE_ERROR_ARGUMENT);
  EXPECT(strstr(lathe_last_error(), "the library has no variant 'nope'; it has abc, based, ") ==
         lathe_last_error());
  EXPECT(strstr(lathe_last_error(), "; lathe_compile takes the text of another") != NULL);
  EXPECT_ERROR(lathe_compile("variant decay(K, V) {\n"
                             "  input  q[K], k[K], v[V], g in log\n"
                             "  state  S[K, V]\n"
                             "  S <- exp(gg) * S + k * v\n"
                             "  output o[V] = q @ S\n"
                             "}\n",
                             "mine.lathe", NULL, &variant),
               LATHE_ERROR_SPEC,
               "mine.lathe:4:12: error: unknown name 'gg'\n"
               "   4 |   S <- exp(gg) * S + k * v\n"
               "     |            ^~\n"
               "     help: declare it as an input, a param or a state, or bind it with 'let'");
  EXPECT_ERROR(lathe_compile("", NULL, NULL, &variant), LATHE_ERROR_SPEC,
               "spec:1:1: error: the file has no variant\n"
               "   1 | \n"
               "     | ^\n"
               "     help: write 'variant NAME(K, V) { ... }'");
  char two[1024];
  snprintf(two, sizeof two, "%s%s", spec, spec);
  *(strstr(two + strlen(spec), "decay") + 1) = 'i'; /* "dicay" */
  EXPECT_ERROR(lathe_compile(two, "two.lathe", NULL, &variant), LATHE_ERROR_ARGUMENT,
               "two.lathe holds several variants; name one of them: decay, dicay");
  EXPECT_ERROR(lathe_compile(two, NULL, "delay", &variant), LATHE_ERROR_ARGUMENT,
               "spec has no variant 'delay'; it has decay, dicay");
  EXPECT(variant == NULL);
  EXPECT(lathe_compile(two, NULL, "dicay", &variant) == LATHE_OK);
  EXPECT(strstr(lathe_variant_json(variant), "\"name\":\"dicay\"") != NULL);
  lathe_variant_free(variant);
  lathe_variant_free(NULL);
  EXPECT(lathe_variant_json(NULL) == NULL);
  EXPECT(strcmp(lathe_last_error(), "variant is null") == 0);
}

static lathe_variant* decay = NULL;

static lathe_status prepareWith(lathe_options options) {
  lathe_kernel* kernel = (lathe_kernel*)&failures;
  const lathe_status status = lathe_prepare(decay, &options, &kernel);
  EXPECT((status == LATHE_OK) == (kernel != NULL));
  lathe_kernel_free(kernel);
  return status;
}

static void options(void) {
  const lathe_options initial = LATHE_OPTIONS_INIT;
  lathe_options good = initial;
  lathe_kernel* kernel = NULL;
  good.dims = "K=8,V=4";
  EXPECT(prepareWith(good) == LATHE_OK);
  EXPECT_ERROR(lathe_prepare(NULL, &good, &kernel), LATHE_ERROR_ARGUMENT, "variant is null");
  EXPECT_ERROR(lathe_prepare(decay, NULL, &kernel), LATHE_ERROR_ARGUMENT, "options is null");
  EXPECT_ERROR(lathe_prepare(decay, &good, NULL), LATHE_ERROR_ARGUMENT, "kernel is null");
  lathe_options bad = good;
  bad.struct_size = 8;
  EXPECT_ERROR(prepareWith(bad), LATHE_ERROR_ARGUMENT,
               "lathe_options.struct_size is 8; it must be 64, the sizeof of ABI version 1");
  bad = good;
  bad.pass = 3;
  EXPECT_ERROR(prepareWith(bad), LATHE_ERROR_ARGUMENT,
               "pass is 3; it must be LATHE_FORWARD (0), LATHE_BACKWARD (1) or LATHE_STEP (2)");
  bad = good;
  bad.device.device_type = kDLVulkan;
  EXPECT_ERROR(prepareWith(bad), LATHE_ERROR_ARGUMENT,
               "device has the type 7; it must be kDLCPU (1) or kDLCUDA (2)");
  bad = good;
  bad.tokens = -1;
  EXPECT_ERROR(prepareWith(bad), LATHE_ERROR_ARGUMENT,
               "tokens is -1; it must be at least 1, or 0 for 1024");
  const char* const dims[][2] = {
      {NULL, "dims null: variant decay needs a size for K, V too; write K=128, ..."},
      {"K=8", "dims \"K=8\": variant decay needs a size for V too; write K=128, ..."},
      {"K=8,V=0", "dims \"K=8,V=0\": 'V=0' is no size; write K=128,V=64"},
      {"K=8,V=4,Q=1", "dims \"K=8,V=4,Q=1\": variant decay has no dimension 'Q'; it has K, V"},
  };
  for (size_t i = 0; i < sizeof dims / sizeof *dims; ++i) {
    bad = good;
    bad.dims = dims[i][0];
    EXPECT_ERROR(prepareWith(bad), LATHE_ERROR_ARGUMENT, dims[i][1]);
  }
  const char* const dtypes[][2] = {
      {"f64", "dtypes \"f64\": 'f64' is no dtype; accepted are bf16, f16 and f32"},
      {"bf16,z=f32", "dtypes \"bf16,z=f32\": variant decay has no operand 'z'"},
      {"S=bf16", "dtypes \"S=bf16\": state S is bf16; on the CPU states are f32"},
  };
  for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; ++i) {
    bad = good;
    bad.dtypes = dtypes[i][0];
    EXPECT_ERROR(prepareWith(bad), LATHE_ERROR_ARGUMENT, dtypes[i][1]);
  }
  lathe_kernel_free(NULL);
  EXPECT(lathe_kernel_json(NULL) == NULL);
  EXPECT(strcmp(lathe_last_error(), "kernel is null") == 0);
  EXPECT(lathe_tensor_name(NULL, 0) == NULL);
  EXPECT_ERROR(lathe_set_tuning(7), LATHE_ERROR_ARGUMENT,
               "mode is 7; it must be LATHE_TUNING_OFF (0), LATHE_TUNING_LOOKUP (1) or "
               "LATHE_TUNING_TUNE (2)");
}

/* Tuning measures once, and is found after that. */
static void tuning(void) {
  lathe_options small = LATHE_OPTIONS_INIT;
  lathe_kernel* kernel = NULL;
  small.dims = "K=4,V=4";
  small.tokens = 16;
  small.heads = 1;
  const char* const choices[] = {"\"choice\":\"model\"", "\"choice\":\"model\"",
                                 "\"choice\":\"tuned\"", "\"choice\":\"tuned\""};
  const lathe_tuning modes[] = {LATHE_TUNING_OFF, LATHE_TUNING_LOOKUP, LATHE_TUNING_TUNE,
                                LATHE_TUNING_LOOKUP};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT(lathe_set_tuning(modes[i]) == LATHE_OK);
    EXPECT(lathe_prepare(decay, &small, &kernel) == LATHE_OK);
    EXPECT(strstr(lathe_kernel_json(kernel), choices[i]) != NULL);
    lathe_kernel_free(kernel);
  }
  small.tokens = 4096;
  EXPECT(lathe_prepare(decay, &small, &kernel) == LATHE_OK);
  EXPECT(strstr(lathe_kernel_json(kernel), "\"choice\":\"nearby\"") != NULL);
  lathe_kernel_free(kernel);
}

static void cache(void) {
  uint64_t freed = 1;
  EXPECT(strstr(lathe_cache_json(), "\"kernels\":0,") != NULL);
  EXPECT(strstr(lathe_cache_json(), "\"mode\":\"rw\"") != NULL);
  EXPECT(lathe_cache_prune(0, &freed) == LATHE_OK && freed == 0);
  EXPECT(lathe_cache_prune(0, NULL) == LATHE_OK);
}

int main(void) {
  variants();
  EXPECT(lathe_compile(spec, NULL, NULL, &decay) == LATHE_OK);
  options();
  tuning();
  lathe_variant_free(decay);
  cache();
  return finish("errors");
}
