// What builds of a library this processor can run; each library gives it as `ws_level`.
#pragma once

// The widest instruction set that this processor has and a build exists for: 2, 3 or 4.
inline int level_of_processor() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return 4;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 3;
#endif
  return 2;
}
