// Activations: f(u), and its derivative from u and y = f(u). If f is monotone, pooling before it
// gives the same result as pooling after it, and is four times cheaper.
#pragma once

#include "vectors.h"

namespace ws {

struct Identity {
  static constexpr bool rises = true;
  template <class T> static Vec<T> f(Vec<T> u) { return u; }
  template <class T> static Vec<T> df(Vec<T>, Vec<T>) { return all(T(1)); }
};

struct Relu {
  static constexpr bool rises = true;
  template <class T> static Vec<T> f(Vec<T> u) { return u > T(0) ? u : Vec<T>{} ; }
  template <class T> static Vec<T> df(Vec<T>, Vec<T> y) { return y > T(0) ? all(T(1)) : Vec<T>{}; }
};

struct LeakyRelu {
  static constexpr bool rises = true;
  template <class T> static Vec<T> f(Vec<T> u) { return u > T(0) ? u : u * T(0.01); }
  template <class T> static Vec<T> df(Vec<T>, Vec<T> y) {
    return y > T(0) ? all(T(1)) : all(T(0.01));
  }
};

struct Elu {
  static constexpr bool rises = true;
  template <class T> static Vec<T> f(Vec<T> u) { return u > T(0) ? u : expm1(u); }
  template <class T> static Vec<T> df(Vec<T>, Vec<T> y) {
    return y > T(0) ? all(T(1)) : y + T(1);
  }
};

struct Sigmoid {
  static constexpr bool rises = true;
  template <class T> static Vec<T> f(Vec<T> u) { return T(1) / (exp(-u) + T(1)); }
  template <class T> static Vec<T> df(Vec<T>, Vec<T> y) { return y * (T(1) - y); }
};

struct Tanh {
  static constexpr bool rises = true;
  template <class T> static Vec<T> f(Vec<T> u) {
    Vec<T> t = expm1((u > T(20) ? all(T(20)) : u) * T(2));
    return t / (t + T(2));
  }
  template <class T> static Vec<T> df(Vec<T>, Vec<T> y) { return T(1) - y * y; }
};

struct Gelu {
  static constexpr bool rises = false;
  template <class T> static Vec<T> phi(Vec<T> u) {  // the normal distribution function
    return each(u, [](T v) { return T(0.5) * std::erfc(-v * T(0.70710678118654752440)); });
  }
  template <class T> static Vec<T> f(Vec<T> u) { return u * phi<T>(u); }
  template <class T> static Vec<T> df(Vec<T> u, Vec<T>) {
    return phi<T>(u) + u * exp(u * u * T(-0.5)) * T(0.39894228040143267794);
  }
};

// Calls f(Activation{}) for the activation with this number; the order is that of `ACTIVATIONS`
// in native/__init__.py.
template <class F> inline void with_activation(int number, F f) {
  switch (number) {
    case 0: return f(Relu{});
    case 1: return f(Elu{});
    case 2: return f(Sigmoid{});
    case 3: return f(Tanh{});
    case 4: return f(Gelu{});
    case 5: return f(LeakyRelu{});
  }
}

}  // namespace ws
